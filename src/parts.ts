import type { Logger, Sink, Source, StateStore } from './connector.js';
import type { StageOptions } from './options.js';

/** What a pipeline is joined from. */
export interface PipelineParts {
  /** State directory: `gramian/` and `models/` lie in it. */
  readonly directory: string;
  readonly store: StateStore;
  /** Fixed-point scale of the interactions. */
  readonly scale: number;
  /** What a fit may use: the declared budget less DuckDB's share. */
  readonly fitMemoryBytes: number;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  readonly options: StageOptions;
  readonly log: Logger;
}

/** Progress of a long step: a name and the part done, 0 … 1. */
export type Progress = (stage: string, part: number) => void;
