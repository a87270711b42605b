import type { Logger, Sink, Source, StateStore } from '../contracts/index.js';
import type { StageOptions } from '../options.js';
import type { ItemAttributes } from '../publish/rules.js';
import type { WeightRules } from './event-weight.js';

/** What a pipeline is joined from. */
export interface PipelineParts {
  /** State directory: `gramian/` and `models/` lie in it. */
  readonly directory: string;
  readonly store: StateStore;
  /** Fixed-point scale of the interactions. */
  readonly scale: number;
  /** What the weights of events mean. */
  readonly weights: WeightRules;
  /** What a fit may use: the declared budget less DuckDB's share. */
  readonly fitMemoryBytes: number;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  /** Attributes of items that the rules of publishing name, read anew for each publication. */
  readonly itemAttributes?: (() => Promise<ItemAttributes>) | undefined;
  readonly options: StageOptions;
  readonly log: Logger;
}

/** Progress of a long step: a name and the part done, 0 … 1. */
export type Progress = (stage: string, part: number) => void;
