import { z } from 'zod';
import type { Manifest } from '../../src/contracts/manifest.js';
import { type GateOptions, measureOptions } from '../../src/evaluate/gate.js';
import { type FitOptions, fitOptions, overrideFit } from '../../src/solvers/index.js';
import { checked } from '../checked.js';
import { clockSettings, cronExpression } from '../cron.js';
import { following, type Job, type JobPipeline, publishes, scheduleOf } from '../job.js';
import { pruneModelsQuietly } from '../kept-models.js';
import { formatTrigger, type Trigger } from '../trigger.js';
import { presentFit } from '../tuned.js';
import { whenOptions } from '../when.js';
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
    when: whenOptions,
    publish: z.boolean().default(true).describe('publish each new model to the sinks'),
    ...clockSettings,
  })
  .prefault({});

/** The present options with those of the refit in their places. `CONFIG_INVALID` for wrong ones. */
export async function fitOf(
  pipeline: JobPipeline,
  { publish: _, ...given }: RefitOptions,
): Promise<FitOptions> {
  return checked(fitOptions, overrideFit(await presentFit(pipeline), given), 'fit');
}

/** Whether the models of a refit are to be published. */
const wantsPublication = (pipeline: JobPipeline, options: RefitOptions): boolean =>
  (options.publish ?? scheduleOf(pipeline, refit).publish) && publishes(pipeline);

/** Whether the publication for `trigger` has been made or held back; a model that is published needs none. */
async function isOwed(
  { parts: { store } }: JobPipeline,
  trigger: Trigger & { kind: 'refit' },
): Promise<boolean> {
  const published = (await store.models()).find(m => m.published)?.version;
  if (published === trigger.version) return false;
  return (await store.endedRun(publish.name, formatTrigger(trigger)))?.status !== 'done';
}

/** The newest model, if a refit with these options would find what it was fitted on, and would measure the same. */
async function upToDate(pipeline: JobPipeline, fit: FitOptions): Promise<Manifest | undefined> {
  const { parts, config, intact } = pipeline;
  const { store } = parts;
  const newest = (await store.models()).at(-1)?.manifest;
  if (!newest || (await store.pending()) > 0 || newest.events !== (await store.folded())) return undefined;
  const measured = config.gate && measureOptions.strip().parse(config.gate);
  const { maxHistory, keep } = config.gramian;
  if (newest.maxHistory !== maxHistory || newest.keep !== keep) return undefined;
  const alike = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  if (!alike(newest.options, fit) || !alike(newest.metrics?.measured, measured)) return undefined;
  if (!alike(newest.ageing, await pipeline.ageing()) || (await pipeline.frameIsDue())) return undefined;
  const { interactions } = await store.counts(); // an erasure takes some away
  return interactions === newest.interactions ? intact().catch(() => undefined) : undefined;
}

/** What the gate measured of a model, for the log: `ndcg@20` and the users it was measured on, or why it was not. */
function measuredBy({ metric, k }: GateOptions, { metrics }: Manifest): Readonly<Record<string, unknown>> {
  const { quality, problem, unjudged } = metrics ?? {};
  return quality
    ? { [`${metric}@${k}`]: quality[metric], measuredUsers: quality.users, unjudged }
    : { unmeasured: problem };
}

/** Folds and fits; the publication of the new model follows. */
export const refit: Job<RefitOptions, Manifest, typeof schedule> = {
  name: 'refit',
  said: { begun: 'refit began', done: 'model fitted' },
  options: z.looseObject({ publish: z.boolean().optional() }),
  schedule,
  readsSources: true,
  clock: ({ cron }) => (cron ? { cron, options: {} } : undefined),
  async prepare({ pipeline }, options) {
    const model = await upToDate(pipeline, await fitOf(pipeline, options));
    if (!model) return undefined;
    const detail = `nothing has changed since model ${model.version}`;
    pipeline.parts.log.info({ version: model.version }, 'no new model: nothing has changed');
    return { kind: 'idle', result: model, detail, version: model.version };
  },
  async run({ pipeline, run, settings }, _, options) {
    const fit = await fitOf(pipeline, options);
    await pipeline.fold(settings.signal);
    await pipeline.dropItems(settings.signal);
    const { gate } = pipeline.config;
    const measure = gate && (() => pipeline.measureModel(fit, gate, settings));
    const manifest = await pipeline.fit(run, { ...settings, fit, measure });
    const { version } = manifest;
    if (!wantsPublication(pipeline, options)) await pruneModelsQuietly(pipeline);
    const facts = { version, ...(gate ? measuredBy(gate, manifest) : {}) };
    return { kind: 'done', detail: '', version, result: manifest, facts, recorded: true };
  },
  async *followers({ pipeline }, { trigger, options, outcome }) {
    if (outcome.kind === 'held' || !outcome.version || !wantsPublication(pipeline, options)) return;
    const { version } = outcome;
    const own: Trigger = { kind: 'refit', version };
    if (outcome.kind === 'done') yield following(publish, own, { version, gated: true });
    // An earlier publication of this model failed or was cut off: it is tried again.
    else if (await isOwed(pipeline, own)) yield following(publish, trigger, { version, gated: true });
  },
  answer({ outcome, followed: [published] }) {
    const made = outcome.kind === 'idle' ? (outcome.detail ?? '') : 'fitted';
    if (published?.outcome.kind === 'held') return `${made}, not published: ${published.outcome.reason}`;
    return published ? `${made} and published` : made;
  },
};
