import { z } from 'zod';
import type { Manifest } from '../../src/contracts/manifest.js';
import { type FitOptions, fitOptions, overrideFit } from '../../src/solvers/index.js';
import { checked } from '../checked.js';
import { cronExpression } from '../cron.js';
import { following, type Job, type JobPipeline, publishes, scheduleOf } from '../job.js';
import { presentFit } from '../tuned.js';
import { publish } from './publish.js';

/** `publish`, in place of the configured one, and any of the options of a fit. */
export interface RefitOptions extends Readonly<Record<string, unknown>> {
  readonly publish?: boolean | undefined;
}

const schedule = z
  .strictObject({
    cron: cronExpression.optional(),
    events: z
      .int()
      .min(1)
      .optional()
      .describe('refit when this number of events was folded since the newest model'),
    publish: z.boolean().default(true).describe('publish each new model to the sinks'),
  })
  .prefault({});

/** The present options with those of the refit in their places. `CONFIG_INVALID` for wrong ones. */
async function fitOf(pipeline: JobPipeline, { publish: _, ...given }: RefitOptions): Promise<FitOptions> {
  return checked(fitOptions, overrideFit(await presentFit(pipeline), given), 'fit');
}

/** Folds and fits; the publication of the new model follows. */
export const refit: Job<RefitOptions, Manifest, typeof schedule> = {
  name: 'refit',
  said: { begun: 'refit begins', done: 'model fitted' },
  options: z.looseObject({ publish: z.boolean().optional() }),
  schedule,
  clock: ({ cron }) => (cron ? { cron, options: {} } : undefined),
  async prepare({ pipeline }, options) {
    await fitOf(pipeline, options);
    return undefined;
  },
  async run({ pipeline, run, settings }, _, options) {
    const fit = await fitOf(pipeline, options);
    await pipeline.fold(settings.signal);
    const { gate } = pipeline.config;
    const measure = gate && (() => pipeline.measureModel(fit, gate, settings));
    const manifest = await pipeline.fit(run, { ...settings, fit, measure });
    const { version } = manifest;
    return { kind: 'done', detail: '', version, result: manifest, facts: { version }, recorded: true };
  },
  async *followers({ pipeline }, { options, outcome }) {
    const wanted = options.publish ?? scheduleOf(pipeline, refit).publish;
    if (outcome.kind !== 'done' || !outcome.version || !wanted || !publishes(pipeline)) return;
    const { version } = outcome;
    yield following(publish, { kind: 'refit', version }, { version, gated: true });
  },
  answer({ followed: [published] }) {
    if (published?.outcome.kind === 'held') return `fitted, not published: ${published.outcome.reason}`;
    return published ? 'fitted and published' : 'fitted';
  },
};
