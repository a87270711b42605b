import type { Logger, Sink, Source, StateStore, WeightRules } from '../contracts/index.js';
import type { ItemAttributes } from '../publish/rules.js';
import type { StageOptions } from './options.js';

/** The parts that a pipeline is joined from. */
export interface PipelineParts {
  /** State directory: `gramian/` and `models/` lie in it. */
  readonly directory: string;
  readonly store: StateStore;
  /** Fixed-point scale of the interactions. */
  readonly scale: number;
  /** What the weights of events mean. */
  readonly weights: WeightRules;
  /** Memory for fits: the declared budget less DuckDB's share. */
  readonly fitMemoryBytes: number;
  /** The declared budget, in whole MiB, that leaves so many bytes for fits. */
  readonly budgetFor?: ((fitMemoryBytes: number) => number) | undefined;
  readonly sources: readonly Source[];
  readonly sinks: readonly Sink[];
  /** Reads the attributes of items that the rules of publishing name; called for each publication. */
  readonly itemAttributes?: (() => Promise<ItemAttributes>) | undefined;
  readonly options: StageOptions;
  readonly log: Logger;
}

export type { Progress } from '../runtime/task.js';
