import type { RunRecord } from '../src/connector.js';
import { StageError, toStageError } from '../src/errors.js';
import { type FitOptions, fitOptions } from '../src/options.js';
import type { Progress } from '../src/parts.js';
import type { PublishSummary } from '../src/publish/publish.js';
import { checked } from './config.js';
import type { Pipeline } from './open.js';

/** What a step is told besides its options. */
export interface StepSettings {
  /** What started it; a step that has ended for this trigger is not done again (except `cli`). */
  readonly trigger: string;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** Records `job` in the ledger around `body`, which ends the run itself when it returns `undefined`. */
export async function recorded(
  pipeline: Pipeline,
  job: string,
  settings: StepSettings,
  body: (run: number) => Promise<{ detail: string; version?: string } | undefined>,
): Promise<void> {
  const { store } = pipeline.parts;
  const { id } = await store.startRun(job, settings.trigger);
  try {
    const outcome = await body(id);
    if (outcome) await store.endRun(id, { status: 'done', ...outcome });
  } catch (error) {
    const failure = settings.signal?.aborted
      ? new StageError('INTERRUPTED', `${job} was stopped`)
      : toStageError(error);
    const status = failure.code === 'INTERRUPTED' ? 'interrupted' : 'failed';
    await store.endRun(id, { status, detail: failure.message });
    throw failure;
  }
}

/** The run of `job` that ended well for the same trigger; throws again what an earlier one failed with. */
export async function earlier(
  pipeline: Pipeline,
  job: string,
  trigger: string,
): Promise<RunRecord | undefined> {
  if (trigger === 'cli') return undefined;
  const run = await pipeline.parts.store.endedRun(job, trigger);
  if (run?.status === 'failed') throw new StageError('INTERNAL', run.detail);
  return run;
}

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
  const fit: FitOptions = checked(fitOptions, { ...pipeline.config.fit, ...overrides }, 'fit');
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
  version?: string,
  attempt: (publish: () => Promise<PublishSummary>) => Promise<PublishSummary> = publish => publish(),
): Promise<PublishSummary | undefined> {
  if (await earlier(pipeline, 'publish', settings.trigger)) return undefined;
  let summary: PublishSummary | undefined;
  await recorded(pipeline, 'publish', settings, async () => {
    summary = await attempt(() => pipeline.publish(version, settings.signal));
    return { detail: `${summary.users} user and ${summary.items} item lists`, version: summary.version };
  });
  return summary;
}
