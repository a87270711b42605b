/** Single jobs for callers of the library, who name the trigger by its text. */
import type { FreshSummary } from '../src/publish/fresh.js';
import type { PublishSummary } from '../src/publish/publish.js';
import type { RollbackSummary } from '../src/publish/rollback.js';
import type { Progress } from '../src/stages/parts.js';
import type { TuneOptions } from '../src/tune/tune.js';
import { contextOf, type Job, type JobContext, type JobPipeline, runJob } from './job.js';
import { fold } from './kinds/fold.js';
import { fresh } from './kinds/fresh.js';
import { publish } from './kinds/publish.js';
import { refit } from './kinds/refit.js';
import { rollback } from './kinds/rollback.js';
import { type Tuned, tune } from './kinds/tune.js';
import { type Outcome, resultOf } from './outcome.js';
import { parseTrigger } from './trigger.js';

/** Settings of a step besides its options. */
export interface StepSettings {
  /** The text of a trigger. A step that has ended for it is not done again, except for `cli`. */
  readonly trigger: string;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

const step = <O extends object, R>(
  pipeline: JobPipeline,
  job: Job<O, R>,
  { trigger, ...settings }: StepSettings,
  options: O,
  others?: Pick<JobContext, 'attempt'>,
): Promise<Outcome<R>> => runJob(contextOf(pipeline, settings, others), job, parseTrigger(trigger), options);

/** Folds the inbox, once for its trigger; returns the number of events. Leaves no record when nothing waits. */
export async function foldStep(pipeline: JobPipeline, settings: StepSettings): Promise<number> {
  return resultOf(await step(pipeline, fold, settings, {}))?.events ?? 0;
}

/**
 * Folds and fits; returns the version of the new model, of the one made for this trigger before, or of the newest one
 * where nothing has changed since.
 */
export async function refitStep(
  pipeline: JobPipeline,
  settings: StepSettings,
  overrides: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const outcome = await step(pipeline, refit, settings, overrides);
  return (outcome.kind !== 'held' && outcome.version) || '';
}

/**
 * Publishes a version (the newest without one) once for its trigger; `undefined` if that was done before.
 * `attempt` carries the publication out: it may try more than once, within the one run.
 */
export async function publishStep(
  pipeline: JobPipeline,
  settings: StepSettings,
  options: { readonly version?: string | undefined; readonly alias?: string | undefined } = {},
  attempt?: (publish: () => Promise<PublishSummary>) => Promise<PublishSummary>,
): Promise<PublishSummary | undefined> {
  // The one thing that this job attempts is the publication.
  const others: Pick<JobContext, 'attempt'> | undefined = attempt && {
    attempt: (_, body) => attempt(body as never) as Promise<never>,
  };
  return resultOf(await step(pipeline, publish, settings, options, others));
}

/** Rewrites the lists of users whose histories changed; leaves no record when there were none. */
export async function freshStep(
  pipeline: JobPipeline,
  settings: StepSettings,
): Promise<FreshSummary | undefined> {
  return resultOf(await step(pipeline, fresh, settings, {}));
}

/** Switches an alias back, once for its trigger; `undefined` if that was done before. */
export async function rollbackStep(
  pipeline: JobPipeline,
  settings: StepSettings,
  options: { readonly alias?: string | undefined; readonly to?: string | undefined } = {},
): Promise<RollbackSummary | undefined> {
  return resultOf(await step(pipeline, rollback, settings, options));
}

/** Searches for fit options on a holdout of the state, once for its trigger; `undefined` if that was done before. */
export async function tuneStep(
  pipeline: JobPipeline,
  settings: StepSettings,
  options: TuneOptions,
  fixed: Readonly<Record<string, unknown>> = {},
): Promise<Tuned | undefined> {
  return resultOf(await step(pipeline, tune, settings, { ...options, fixed }));
}
