import { champion } from '../src/contracts/sink.js';
import type { FreshSummary } from '../src/publish/fresh.js';
import type { PublishSummary } from '../src/publish/publish.js';
import type { RollbackSummary } from '../src/publish/rollback.js';
import { type FitOptions, fitOptions, overrideFit } from '../src/solvers/index.js';
import { checked } from './config.js';
import type { Pipeline } from './open.js';
import { earlier, recorded, type StepSettings } from './record.js';
import { presentFit } from './tuned.js';

/** Folds what waits in the inbox, once for its trigger; leaves no record when nothing waits. */
export async function foldStep(pipeline: Pipeline, settings: StepSettings): Promise<number> {
  if ((await pipeline.parts.store.pending()) === 0) return 0;
  if (await earlier(pipeline, 'fold', settings.trigger)) return 0;
  let events = 0;
  await recorded(pipeline, 'fold', settings, async () => {
    const summary = await pipeline.fold(settings.signal);
    events = summary.events;
    return { detail: `${summary.events} events of ${summary.users} users` };
  });
  return events;
}

/** Folds and fits; returns the version of the new model, or of the one made for this trigger before. */
export async function refitStep(
  pipeline: Pipeline,
  settings: StepSettings,
  overrides: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const done = await earlier(pipeline, 'refit', settings.trigger);
  if (done?.version) return done.version;
  const fit: FitOptions = checked(fitOptions, overrideFit(await presentFit(pipeline), overrides), 'fit');
  let version = '';
  await recorded(pipeline, 'refit', settings, async run => {
    await pipeline.fold(settings.signal);
    const { gate } = pipeline.config;
    const measure = gate && (() => pipeline.measureModel(fit, gate, settings));
    ({ version } = await pipeline.fit(run, { ...settings, fit, measure }));
    return undefined;
  });
  return version;
}

/**
 * Publishes a version (the newest without one) once for its trigger; `undefined` if that was done before.
 * `attempt` carries the publication out: it may try more than once, within the one run.
 */
export async function publishStep(
  pipeline: Pipeline,
  settings: StepSettings,
  { version, alias }: { readonly version?: string | undefined; readonly alias?: string | undefined } = {},
  attempt: (publish: () => Promise<PublishSummary>) => Promise<PublishSummary> = publish => publish(),
): Promise<PublishSummary | undefined> {
  if (await earlier(pipeline, 'publish', settings.trigger)) return undefined;
  let summary: PublishSummary | undefined;
  await recorded(pipeline, 'publish', settings, async () => {
    summary = await attempt(() =>
      pipeline.publish({ version, alias, signal: settings.signal, progress: settings.progress }),
    );
    const as = summary.alias === champion ? '' : ` as ${summary.alias}`;
    return { detail: `${summary.users} user and ${summary.items} item lists${as}`, version: summary.version };
  });
  return summary;
}

/** Rewrites the lists of users whose histories changed; leaves no record when there were none. */
export async function freshStep(
  pipeline: Pipeline,
  settings: StepSettings,
): Promise<FreshSummary | undefined> {
  if (await earlier(pipeline, 'fresh', settings.trigger)) return undefined;
  if (!(await pipeline.lagging())) return { rewritten: 0, deleted: 0, seconds: 0 };
  let summary: FreshSummary | undefined;
  await recorded(pipeline, 'fresh', settings, async () => {
    summary = await pipeline.publishFresh(settings.signal);
    return { detail: `${summary.rewritten} lists rewritten, ${summary.deleted} deleted` };
  });
  return summary;
}

/** Switches an alias back, once for its trigger; the version it names then. */
export async function rollbackStep(
  pipeline: Pipeline,
  settings: StepSettings,
  options: { readonly alias?: string | undefined; readonly to?: string | undefined } = {},
): Promise<RollbackSummary | undefined> {
  if (await earlier(pipeline, 'rollback', settings.trigger)) return undefined;
  let summary: RollbackSummary | undefined;
  await recorded(pipeline, 'rollback', settings, async () => {
    summary = await pipeline.rollback(options);
    return { detail: `${summary.alias} from ${summary.from}`, version: summary.version };
  });
  return summary;
}
