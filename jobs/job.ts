import { z } from 'zod';
import { StageError, toStageError } from '../src/errors.js';
import type { Progress } from '../src/stages/parts.js';
import type { Stage } from '../src/stages/pipeline.js';
import { clockSettings } from './cron.js';
import { onBehalfOf } from './log-context.js';
import { logging, type ObservedJob, type Observer, observers } from './observe.js';
import { fromLedger, type Outcome, type RunEnd, toLedger } from './outcome.js';
import type { Settings } from './settings.js';
import { traced, tracedSteps } from './tracing.js';
import { formatTrigger, type Trigger } from './trigger.js';

/** The part of a pipeline that jobs work on. */
export interface JobPipeline extends Stage {
  /** `schedule` has the settings of each job under its name; `scheduleOf` gives them their type. */
  readonly config: Settings & { readonly schedule: Readonly<Record<string, unknown>> };
}

/** Everything that a job gets besides its trigger and options. */
export interface JobContext {
  readonly pipeline: JobPipeline;
  /** Settings of the stages that do the work. */
  readonly settings: { readonly signal?: AbortSignal; readonly progress?: Progress };
  readonly observer: Required<Observer>;
  /** Runs `body`; the service retries it within the same run while its failures are `retryable`. */
  attempt<T>(what: string, body: () => Promise<T>): Promise<T>;
}

/** A run that has begun: its id in the ledger, 0 for a job that leaves no run there. */
export interface RunContext extends JobContext {
  readonly run: number;
}

/** When a job is due by the clock, and with which options. */
export interface Clock<O> {
  readonly cron: string;
  readonly options: O;
}

/** A job to be run behind another one, before the queue goes on. */
export interface Follower {
  readonly job: Job;
  readonly trigger: Trigger;
  readonly options: object;
}

/** A job that has ended, with the jobs that followed it. */
export interface Chain<R = unknown> {
  readonly job: Job;
  readonly outcome: Outcome<R>;
  readonly followed: readonly Chain[];
}

/**
 * A kind of job with options `O`, a result `R` and settings `S` under `schedule`. A new kind is one file and a line
 * of kinds/index.ts.
 */
export interface Job<O extends object = object, R = unknown, S extends z.ZodType = z.ZodType>
  extends ObservedJob {
  /** Schema of the options that a signal may give. */
  readonly options?: z.ZodType<O>;
  /** Its settings in the configuration, as `schedule.<name>`. */
  readonly schedule?: S;
  /** The ledger gets no run of it, so it is done each time. */
  readonly unrecorded?: true;
  /** It does what the sources bring: one that is due by the clock waits until they were looked at since the start. */
  readonly readsSources?: true;
  clock?(settings: z.output<S>, pipeline: JobPipeline): Clock<O> | undefined;
  /** Called before the run is recorded: throws for wrong options, and returns `idle` if there is nothing to do. */
  prepare?(context: JobContext, options: O): Promise<Outcome<R> | undefined>;
  run(context: RunContext, trigger: Trigger, options: O): Promise<Exclude<Outcome<R>, { kind: 'idle' }>>;
  /** The jobs that follow, also after a run of an earlier process. Each ends before the next one is asked for. */
  followers?(
    context: JobContext,
    ended: { readonly trigger: Trigger; readonly options: O; readonly outcome: Outcome<R> },
  ): AsyncIterable<Follower>;
  /** The message of a signal's result. A job without it cannot be started by a signal. */
  answer?(chain: Chain<R>): string;
}

/** A follower whose options are checked against its job. */
export const following = <O extends object>(job: Job<O>, trigger: Trigger, options: O): Follower => ({
  job: job as Job,
  trigger,
  options,
});

/** The settings of a job under `schedule`. */
export const scheduleOf = <S extends z.ZodType>(
  { config }: JobPipeline,
  { name }: { readonly name: string; readonly schedule?: S },
): z.output<S> => config.schedule[name] as z.output<S>;

/** The settings of a job that all have; of a job without settings, their defaults. */
const clocked = z.object(clockSettings);

/** The jobs that are due by the clock, in the order of `jobs`. */
export const clocksOf = (pipeline: JobPipeline, jobs: readonly Job[]) =>
  jobs.flatMap(job => {
    const clock = job.clock?.(scheduleOf(pipeline, job), pipeline);
    if (!clock) return [];
    const { catchUp, jitterMs } = clocked.parse(scheduleOf(pipeline, job));
    return [{ job, expression: clock.cron, options: clock.options, catchUp, jitterMs }];
  });

/** True if the pipeline has sinks to publish to. */
export const publishes = ({ parts }: Pick<JobPipeline, 'parts'>): boolean => parts.sinks.length > 0;

/** The context of a job that is tried once and observed by the pipeline's log, unless `others` say otherwise. */
export const contextOf = (
  pipeline: JobPipeline,
  settings: JobContext['settings'],
  others: Partial<Pick<JobContext, 'attempt' | 'observer'>> = {},
): JobContext => ({
  pipeline,
  settings,
  attempt: (_, body) => body(),
  observer: observers([logging(pipeline.parts.log)]),
  ...others,
});

/**
 * Runs a job once for its trigger. If the ledger has an ended run for it, returns that run's outcome; else runs the job,
 * records how it ends and tells the observer. Throws the failure of this run or of the earlier one.
 */
export async function runJob<O extends object, R>(
  context: JobContext,
  job: Job<O, R>,
  trigger: Trigger,
  options: O,
): Promise<Outcome<R>> {
  const { store } = context.pipeline.parts;
  const text = formatTrigger(trigger);
  const earlier = trigger.kind === 'cli' ? undefined : await store.endedRun(job.name, text);
  if (earlier) return thrown(fromLedger(earlier));
  const idle = await job.prepare?.(context, options);
  if (idle) return idle;
  const run = job.unrecorded ? 0 : (await store.startRun(job.name, text)).id;
  return onBehalfOf({ component: job.name, ...(run > 0 && { run }) }, () =>
    traced(job.name, { run, trigger: text }, () =>
      carriedOut({ ...context, pipeline: tracedSteps(context.pipeline), run }, job, trigger, options),
    ),
  );
}

/** Runs a job whose run has begun. */
async function carriedOut<O extends object, R>(
  context: RunContext,
  job: Job<O, R>,
  trigger: Trigger,
  options: O,
): Promise<Outcome<R>> {
  const { store } = context.pipeline.parts;
  context.observer.begin(job, trigger);
  const started = performance.now();
  const end = await ended(job, context, trigger, options);
  const recorded = job.unrecorded || (end.kind === 'done' && end.recorded);
  if (!recorded) await store.endRun(context.run, toLedger(end));
  context.observer.run(job, trigger, end, (performance.now() - started) / 1000);
  await retainQuietly(context.pipeline);
  return thrown(end);
}

/** A failure to remove outdated rows is only logged, because the job is done without it. */
async function retainQuietly({ retain, parts }: JobPipeline): Promise<void> {
  await retain().catch(error =>
    parts.log.warn({ error: toStageError(error).message }, 'outdated rows were not removed'),
  );
}

async function ended<O extends object, R>(
  job: Job<O, R>,
  context: RunContext,
  trigger: Trigger,
  options: O,
): Promise<RunEnd<R>> {
  const { settings, pipeline } = context;
  const { timeoutMs } = clocked.parse(scheduleOf(pipeline, job) ?? {});
  const late = new AbortController();
  const timer = timeoutMs && setTimeout(() => late.abort(), timeoutMs);
  const signal = settings.signal ? AbortSignal.any([settings.signal, late.signal]) : late.signal;
  try {
    return await job.run({ ...context, settings: { ...settings, signal } }, trigger, options);
  } catch (error) {
    if (settings.signal?.aborted)
      return { kind: 'failed', error: new StageError('INTERRUPTED', `${job.name} was stopped`) };
    const found = `${job.name} took longer than ${timeoutMs} ms and was stopped`;
    return {
      kind: 'failed',
      error: late.signal.aborted ? new StageError('JOB_TIMEOUT', found) : toStageError(error),
    };
  } finally {
    clearTimeout(timer);
  }
}

function thrown<R>(end: RunEnd<R>): Outcome<R> {
  if (end.kind === 'failed') throw end.error;
  return end;
}

/** Runs a job and, one after the other, the jobs that follow it. A failure ends the chain. */
export async function runChain<O extends object, R>(
  context: JobContext,
  job: Job<O, R>,
  trigger: Trigger,
  options: O,
): Promise<Chain<R>> {
  const outcome = await runJob(context, job, trigger, options);
  const followed: Chain[] = [];
  for await (const next of job.followers?.(context, { trigger, options, outcome }) ?? [])
    followed.push(await runChain(context, next.job, next.trigger, next.options));
  return { job: job as Job, outcome, followed };
}
