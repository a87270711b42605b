import type { Logger, Source } from '../src/contracts/index.js';
import { holdBackStep } from './gate.js';
import type { Pipeline } from './open.js';
import { createJobQueue } from './queue.js';
import { keepGoing, retried } from './retry.js';
import { type Scheduled, startSchedules } from './schedule.js';
import { createSignalPoll } from './signals.js';
import { foldStep, freshStep, publishStep, refitStep, rollbackStep } from './steps.js';
import { tuneStep } from './tuned.js';

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

  /** Publishes a version, the newest without one; `gated`, only if the gate lets it pass, else tells why not. */
  async function publish(
    trigger: string,
    {
      version,
      alias,
      gated = false,
    }: { version?: string | undefined; alias?: string | undefined; gated?: boolean } = {},
  ): Promise<string | undefined> {
    const held = gated ? await holdBackStep(pipeline, step(trigger), version) : undefined;
    if (held !== undefined) {
      log.warn({ trigger }, `not published: ${held}`);
      return held;
    }
    const trying = { what: 'publish', firstPauseMs: schedule.pollMs, signal: stop, log };
    const summary = await publishStep(pipeline, step(trigger), { version, alias }, attempt =>
      retried(publishTries, trying, attempt),
    );
    if (summary) log.info({ ...summary, trigger }, 'model published');
    return undefined;
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
    if (!wanted || !publishing) return { version, published: false };
    const held = await publish(`refit:${version}`, { version, gated: true });
    return { version, published: held === undefined, held };
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

  /** Rewrites the lists of users whose histories changed. */
  async function refresh(trigger: string): Promise<void> {
    const trying = { what: 'fresh lists', firstPauseMs: schedule.pollMs, signal: stop, log };
    const summary = await retried(publishTries, trying, () => freshStep(pipeline, step(trigger)));
    if (summary && summary.rewritten + summary.deleted > 0)
      log.info({ ...summary, trigger }, 'lists made fresh');
  }

  const fold = (trigger: string) =>
    queue.add('fold', async () => {
      const events = await foldStep(pipeline, step(trigger));
      if (events > 0) log.info({ events, trigger }, 'inbox folded');
      if (schedule.fresh.follow && publishing) await refresh(`follow:${trigger}:${await store.folded()}`);
      await refitAfterEvents();
    });

  async function tune(trigger: string): Promise<void> {
    const { cron: _, ...options } = schedule.tune;
    const found = await tuneStep(pipeline, step(trigger), options);
    if (found) log.info({ trigger, adopted: found.adopted, fit: found.best.options }, 'options tuned');
  }

  /** A time that comes while the job still waits for the one before is covered by it. */
  function due(job: string, time: number): Promise<boolean> {
    const trigger = `cron:${new Date(time).toISOString()}`;
    if (job === 'fold') return fold(trigger);
    if (job === 'tune') return queue.add(job, () => tune(trigger));
    if (job === 'fresh') return queue.add(job, () => refresh(trigger));
    return queue.add(job, () => (job === 'refit' ? refit(trigger) : publish(trigger, { gated: true })));
  }

  const looked = new Set<Source>();

  async function follow(source: Source): Promise<void> {
    let [dead, read] = [0, 0];
    const takeIn = (well: () => void): Promise<void> =>
      pipeline.drain(
        source,
        stop,
        async batch => {
          well();
          looked.add(source);
          dead += batch.deadLetters;
          read += batch.read;
          pipeline.assertTolerance(dead, read);
          log.debug({ source: source.name, ...batch }, 'batch ingested');
          const enough = schedule.fresh.follow ? 1 : schedule.fold.events;
          if ((await store.pending()) >= enough) void fold(`events:${Date.now()}`);
        },
        () => {
          well();
          looked.add(source);
        },
      );
    const trying = { what: `source ${source.name}`, firstPauseMs: schedule.pollMs, signal: stop, log };
    await keepGoing(schedule.pollMs, trying, well => takeIn(well).finally(() => looked.add(source)));
  }

  async function obeySignals(): Promise<void> {
    if (!pipeline.signals || !config.signals) return;
    const jobs = {
      refit,
      publish: async (trigger: string, version: string | undefined, alias: string | undefined) => {
        await publish(trigger, { version, alias });
        return (await store.endedRun('publish', trigger))?.version;
      },
      rollback: async (trigger: string, options: { alias?: string | undefined; to?: string | undefined }) => {
        await rollbackStep(pipeline, step(trigger), options);
        return (await store.endedRun('rollback', trigger))?.version;
      },
      forget: async (trigger: string, user: string) => {
        await pipeline.forget(user);
        if (publishing) await refresh(trigger);
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
  if (schedule.tune.cron) clocks.push({ job: 'tune', expression: schedule.tune.cron });
  if (schedule.publish.cron) clocks.push({ job: 'publish', expression: schedule.publish.cron });
  if (schedule.fresh.cron && publishing) clocks.push({ job: 'fresh', expression: schedule.fresh.cron });
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
