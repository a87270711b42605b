import { type FitOptions, fitOptions, overrideFit } from '../src/solvers/index.js';
import type { Trial, TunedOptions, TuneOptions, TuneResult } from '../src/tune/tune.js';
import { checked } from './config.js';
import type { Pipeline } from './open.js';
import { earlier, recorded, type StepSettings } from './record.js';

/** Tuned options, and whether they still stand for the configured ones. */
export interface TunedState extends TunedOptions {
  readonly inUse: boolean;
}

/** The tuned options of a state. */
export async function tunedOf({ config, parts }: Pipeline): Promise<TunedState | undefined> {
  const tuned = await parts.store.tuned();
  if (!tuned) return undefined;
  const base = fitOptions.safeParse(tuned.base).data; // with the defaults of options that are new
  return { ...tuned, inUse: JSON.stringify(base) === JSON.stringify(config.fit) };
}

/** The options that a refit uses: the tuned ones, unless the configured ones have changed since. */
export async function presentFit(pipeline: Pipeline): Promise<FitOptions> {
  const tuned = await tunedOf(pipeline);
  return tuned?.inUse ? fitOptions.parse(tuned.fit) : pipeline.config.fit;
}

/** The present options, and what a search of another solver, or with other fixed options, starts from. */
export async function aroundPresent(
  pipeline: Pipeline,
  { solver }: TuneOptions,
  fixed: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly present: FitOptions; readonly base: FitOptions }> {
  const present = await presentFit(pipeline);
  const base: FitOptions = checked(fitOptions, overrideFit(present, { ...fixed, solver }), 'fit');
  return { present, base };
}

/** Whether the winner of a search shall replace the present options: it is better, by the gate's measure too. */
export function wins({ best, present }: TuneResult, metric: TuneOptions['metric'], minimum = 1): boolean {
  const value = ({ metrics }: Trial): number => metrics![metric];
  return value(best) > value(present) && value(best) >= minimum * value(present);
}

/**
 * Searches for options on a holdout of the state; a winner that passes the gate against the present options, measured on
 * the same users, becomes what refits use. Returns nothing if that was done for the trigger before.
 */
export async function tuneStep(
  pipeline: Pipeline,
  settings: StepSettings,
  options: TuneOptions,
  fixed: Readonly<Record<string, unknown>> = {},
): Promise<(TuneResult & { readonly adopted: boolean }) | undefined> {
  if (await earlier(pipeline, 'tune', settings.trigger)) return undefined;
  const { config, parts } = pipeline;
  const { metric, k } = options;
  let outcome: (TuneResult & { readonly adopted: boolean }) | undefined;
  await recorded(pipeline, 'tune', settings, async () => {
    const result = await pipeline.tune(await aroundPresent(pipeline, options, fixed), options, settings);
    const adopted = wins(result, metric, config.gate?.minimum);
    const [found, before] = [result.best.metrics![metric], result.present.metrics![metric]];
    if (adopted) {
      const tuned = { fit: result.best.options, base: config.fit, measured: options, found, before };
      await parts.store.setTuned({ ...tuned, at: Date.now() });
    }
    outcome = { ...result, adopted };
    const compared = `${metric}@${k} ${found.toFixed(4)} against ${before.toFixed(4)} of the present options`;
    return { detail: `${compared}: ${adopted ? 'adopted' : 'they stay'}` };
  });
  return outcome;
}
