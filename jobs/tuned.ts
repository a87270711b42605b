import { type FitOptions, fitOptions, overrideFit } from '../src/solvers/index.js';
import type { Trial, TunedOptions, TuneOptions, TuneResult } from '../src/tune/tune.js';
import { checked } from './checked.js';
import type { JobPipeline } from './job.js';

/** Tuned options. They are in use unless the configured options changed after the search. */
export interface TunedState extends TunedOptions {
  readonly inUse: boolean;
}

/** The tuned options of a state. */
export async function tunedOf({ config, parts }: JobPipeline): Promise<TunedState | undefined> {
  const tuned = await parts.store.tuned();
  if (!tuned) return undefined;
  const base = fitOptions.safeParse(tuned.base).data; // with the defaults of options that are new
  return { ...tuned, inUse: JSON.stringify(base) === JSON.stringify(config.fit) };
}

/** The options of a refit: the tuned ones if they are in use, else the configured ones. */
export async function presentFit(pipeline: JobPipeline): Promise<FitOptions> {
  const tuned = await tunedOf(pipeline);
  return tuned?.inUse ? fitOptions.parse(tuned.fit) : pipeline.config.fit;
}

/** The present options, and the options that a search with its own solver and fixed options starts from. */
export async function aroundPresent(
  pipeline: JobPipeline,
  { solver }: TuneOptions,
  fixed: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly present: FitOptions; readonly base: FitOptions }> {
  const present = await presentFit(pipeline);
  const base: FitOptions = checked(fitOptions, overrideFit(present, { ...fixed, solver }), 'fit');
  return { present, base };
}

/** True if the winner of a search replaces the present options: it is better, and at least `minimum` times as good. */
export function wins({ best, present }: TuneResult, metric: TuneOptions['metric'], minimum = 1): boolean {
  const value = ({ metrics }: Trial): number => metrics![metric];
  return value(best) > value(present) && value(best) >= minimum * value(present);
}
