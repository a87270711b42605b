import { type TuneOptions, type TuneResult, tuneOptions } from '../../src/tune/tune.js';
import { clockSettings, cronExpression } from '../cron.js';
import type { Job } from '../job.js';
import { aroundPresent, wins } from '../tuned.js';

/** How to search, and fit options that are not searched but fixed. */
export interface TuneJobOptions extends TuneOptions {
  readonly fixed?: Readonly<Record<string, unknown>>;
}

/** The result of a search; an adopted winner is used by the refits that follow. */
export interface Tuned extends TuneResult {
  readonly adopted: boolean;
}

/** How a scheduled search searches; when it does is left out. */
export const searchOf = (scheduled: object): TuneOptions => tuneOptions.strip().parse(scheduled);

const schedule = tuneOptions.extend({ cron: cronExpression.optional(), ...clockSettings }).prefault({});

/**
 * Searches for fit options on a holdout of the state. The winner becomes what refits use if it passes the gate against
 * the present options, measured on the same users.
 */
export const tune: Job<TuneJobOptions, Tuned, typeof schedule> = {
  name: 'tune',
  said: { done: 'options tuned' },
  options: tuneOptions,
  schedule,
  clock: scheduled => (scheduled.cron ? { cron: scheduled.cron, options: searchOf(scheduled) } : undefined),
  async run({ pipeline, settings }, _, { fixed, ...options }) {
    const { config, parts } = pipeline;
    const { metric, k } = options;
    const found = await pipeline.tune(await aroundPresent(pipeline, options, fixed), options, settings);
    const adopted = wins(found, metric, config.gate?.minimum);
    const [best, before] = [found.best.metrics![metric], found.present.metrics![metric]];
    if (adopted) {
      const tuned = { fit: found.best.options, base: config.fit, measured: options, found: best, before };
      await parts.store.setTuned({ ...tuned, at: Date.now() });
    }
    const compared = `${metric}@${k} ${best.toFixed(4)} against ${before.toFixed(4)} of the present options`;
    return {
      kind: 'done',
      detail: `${compared}: ${adopted ? 'adopted' : 'they stay'}`,
      result: { ...found, adopted },
      facts: { adopted, fit: found.best.options },
    };
  },
};
