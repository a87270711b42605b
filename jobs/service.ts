import type { Logger, Source } from '../src/connector.js';
import type { Pipeline } from './open.js';
import { createJobQueue } from './queue.js';
import { keepGoing, retried } from './retry.js';
import { type Scheduled, startSchedules } from './schedule.js';
import { createSignalPoll } from './signals.js';
import { foldStep, publishStep, refitStep } from './steps.js';

/** Tries of one publication (about 45 s with the pauses); while it lasts, the other jobs wait. */
const publishTries = 8;

/**
 * Keeps the whole stage going until `signal` aborts: ingests continuously; folds, refits and publishes by
 * the clock, by the number of events and on signals. Throws only what no retry can mend.
 */
export async function serve(pipeline: Pipeline, log: Logger, signal: AbortSignal): Promise<void> {
  const { config, parts } = pipeline;
  const { store, sources } = parts;
  const { schedule } = config;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  if (stop.aborted) return;
  const queue = createJobQueue(stop, log);
  const step = (trigger: string) => ({ trigger, signal: stop });
  const publishing = parts.sinks.length > 0;

  async function publish(trigger: string, version?: string): Promise<void> {
    const trying = { what: 'publish', firstPauseMs: schedule.pollMs, signal: stop, log };
    const summary = await publishStep(pipeline, step(trigger), version, attempt =>
      retried(publishTries, trying, attempt),
    );
    if (summary) log.info({ ...summary, trigger }, 'model published');
  }

  /** A refit and, if wanted, the publication of its model: each once, however often a crash cuts them off. */
  async function refit(
    trigger: string,
    overrides: Readonly<Record<string, unknown>> = {},
    wanted = schedule.refit.publish,
  ) {
    log.info({ trigger }, 'refit begins');
    const version = await refitStep(pipeline, step(trigger), overrides);
    log.info({ version, trigger }, 'model fitted');
    const published = wanted && publishing;
    if (published) await publish(`refit:${version}`, version);
    return { version, published };
  }

  /** A refit by count is due for the number of folded events at which it is asked for, so it is made once. */
  async function refitAfterEvents(): Promise<void> {
    if (!schedule.refit.events) return;
    const [folded, newest] = [await store.folded(), (await store.models()).at(-1)];
    if (newest) {
      const made = await store.madeBy(newest.version);
      // What a crash cut off between the model and its publication.
      if (
        made?.trigger.startsWith('events:') &&
        !(await store.endedRun('publish', `refit:${newest.version}`))
      )
        await refit(made.trigger);
    }
    if (folded - (newest?.manifest.events ?? 0) < schedule.refit.events) return;
    const trigger = `events:${folded}`;
    if (!(await store.endedRun('refit', trigger))) await refit(trigger);
  }

  const fold = (trigger: string) =>
    queue.add('fold', async () => {
      const events = await foldStep(pipeline, step(trigger));
      if (events > 0) log.info({ events, trigger }, 'inbox folded');
      await refitAfterEvents();
    });

  /** A time that comes while the job still waits for the one before is covered by it. */
  function due(job: string, time: number): Promise<boolean> {
    const trigger = `cron:${new Date(time).toISOString()}`;
    if (job === 'fold') return fold(trigger);
    return queue.add(job, () => (job === 'refit' ? refit(trigger) : publish(trigger)));
  }

  const looked = new Set<Source>();

  async function follow(source: Source): Promise<void> {
    let [dead, read] = [0, 0];
    const takeIn = (): Promise<void> =>
      pipeline.drain(
        source,
        stop,
        async batch => {
          looked.add(source);
          dead += batch.deadLetters;
          read += batch.read;
          pipeline.assertTolerance(dead, read);
          log.debug({ source: source.name, ...batch }, 'batch ingested');
          if ((await store.pending()) >= schedule.fold.events) void fold(`events:${Date.now()}`);
        },
        () => looked.add(source),
      );
    const trying = { what: `source ${source.name}`, firstPauseMs: schedule.pollMs, signal: stop, log };
    await keepGoing(schedule.pollMs, trying, () => takeIn().finally(() => looked.add(source)));
  }

  async function obeySignals(): Promise<void> {
    if (!pipeline.signals || !config.signals) return;
    const jobs = {
      refit,
      publish: async (trigger: string, version: string | undefined) => {
        await publish(trigger, version);
        return (await store.endedRun('publish', trigger))?.version;
      },
    };
    const look = createSignalPoll(pipeline.signals, store, queue, jobs, log);
    const { pollMs } = config.signals;
    await keepGoing(pollMs, { what: 'signals', firstPauseMs: pollMs, signal: stop, log }, async () => {
      // A refit that was asked for before the start shall know what the sources held before the start.
      if (looked.size === sources.length) await look(stop);
    });
  }

  const clocks: Scheduled[] = [{ job: 'fold', expression: schedule.fold.cron }];
  if (schedule.refit.cron) clocks.push({ job: 'refit', expression: schedule.refit.cron });
  if (schedule.publish.cron) clocks.push({ job: 'publish', expression: schedule.publish.cron });
  const stopClocks = await startSchedules(store, clocks, schedule.timezone, due, e => failed.abort(e));
  const stopped = new Promise<void>(done => {
    if (stop.aborted) done();
    else stop.addEventListener('abort', () => done(), { once: true });
  });
  const loops = [...sources.map(follow), obeySignals()];
  for (const loop of loops) loop.catch(error => failed.abort(error));
  await stopped;
  await Promise.allSettled(loops);
  await stopClocks();
  await queue.drained();
  if (failed.signal.aborted) throw failed.signal.reason;
}
