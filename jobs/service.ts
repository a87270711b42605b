import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger, Signal, SignalResult, Source } from '../src/connector.js';
import { StageError, toStageError } from '../src/errors.js';
import type { Pipeline } from './open.js';
import { type Scheduled, startSchedules } from './schedule.js';
import { foldStep, publishStep, refitStep } from './steps.js';

/** Longest pause between two tries of something that fails, in milliseconds. */
const longestPauseMs = 60_000;

/** Sleeps, but not through a stop. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/**
 * One job at a time, in the order asked for; a job that already waits under the same key is not queued twice.
 * `add` tells whether the job has ended, well or badly: false when a stop kept it from that.
 */
function jobQueue(signal: AbortSignal, log: Logger) {
  const waiting = new Map<string, Promise<boolean>>();
  let tail: Promise<unknown> = Promise.resolve();
  const run = async (key: string, body: () => Promise<unknown>): Promise<boolean> => {
    waiting.delete(key);
    if (signal.aborted) return false;
    try {
      await body();
      return true;
    } catch (error) {
      const { code, message, remedy } = toStageError(error);
      if (code === 'INTERRUPTED') log.info({ job: key }, message);
      else log.error({ job: key, code, remedy }, message);
      return code !== 'INTERRUPTED';
    }
  };
  return {
    add(key: string, body: () => Promise<unknown>): Promise<boolean> {
      const queued = waiting.get(key) ?? tail.then(() => run(key, body));
      waiting.set(key, queued);
      tail = queued;
      return queued;
    },
    drained: async (): Promise<void> => void (await tail),
  };
}

/**
 * Keeps the whole stage going until `signal` aborts: ingests continuously; folds, refits and publishes by
 * the clock, by the number of events and on signals. Throws only what no retry can mend.
 */
export async function serve(pipeline: Pipeline, log: Logger, signal: AbortSignal): Promise<void> {
  const { config, parts } = pipeline;
  const { store } = parts;
  const { schedule } = config;
  const stop = new AbortController();
  signal.addEventListener('abort', () => stop.abort(), { once: true });
  const queue = jobQueue(stop.signal, log);
  const step = (trigger: string) => ({ trigger, signal: stop.signal });

  const publishing = parts.sinks.length > 0;

  async function refit(
    trigger: string,
    overrides: Readonly<Record<string, unknown>> = {},
    publish = schedule.refit.publish,
  ) {
    const version = await refitStep(pipeline, step(trigger), overrides);
    log.info({ version, trigger }, 'model fitted');
    if (publish && publishing) {
      const summary = await publishStep(pipeline, step(trigger), version);
      log.info({ ...summary, version, trigger }, 'model published');
    }
    return version;
  }

  /** A refit by count is due for the number of folded events at which it is asked for, so it is made once. */
  async function refitAfterEvents(): Promise<void> {
    if (!schedule.refit.events) return;
    const [folded, newest] = [await store.folded(), (await store.models()).at(-1)];
    if (folded - (newest?.manifest.events ?? 0) < schedule.refit.events) return;
    await refit(`events:${folded}`);
  }

  const fold = (trigger: string) =>
    queue.add('fold', async () => {
      const events = await foldStep(pipeline, step(trigger));
      if (events > 0) log.info({ events, trigger }, 'inbox folded');
      await refitAfterEvents();
    });

  function due(job: string, time: number): Promise<boolean> {
    const trigger = `cron:${new Date(time).toISOString()}`;
    if (job === 'fold') return fold(trigger);
    if (job === 'refit') return queue.add(`refit ${trigger}`, () => refit(trigger));
    return queue.add(`publish ${trigger}`, async () => {
      const summary = await publishStep(pipeline, step(trigger));
      if (summary) log.info({ ...summary, trigger }, 'model published');
    });
  }

  /** Carries out one command; the outcome is the signal's result. */
  async function obey(
    { id, type, options }: Signal,
    trigger: string,
  ): Promise<Pick<SignalResult, 'version' | 'message'>> {
    switch (type) {
      case 'refit': {
        const { publish = schedule.refit.publish, ...overrides } = options;
        const version = await refit(trigger, overrides, publish === true);
        return { version, message: publish === true && publishing ? 'fitted and published' : 'fitted' };
      }
      case 'publish': {
        const version = options.version === undefined ? undefined : String(options.version);
        const summary = await publishStep(pipeline, step(trigger), version);
        return { version: summary?.version, message: 'published' };
      }
      default:
        throw new StageError(
          'USAGE',
          `signal ${id}: expected type refit or publish, found ${JSON.stringify(type)}`,
        );
    }
  }

  async function pollSignals(): Promise<void> {
    const { signals } = pipeline;
    if (!signals) return;
    const report = async (): Promise<void> => {
      for (const result of await store.unreported(signals.name)) {
        await signals.resolve(result);
        await store.markReported(signals.name, result.id);
      }
    };
    await report();
    for (const command of await signals.pending()) {
      const ended = await store.claimSignal(signals.name, command);
      if (ended) {
        await signals.resolve(ended);
        continue;
      }
      queue.add(`signal ${command.id}`, async () => {
        let result: SignalResult;
        try {
          const outcome = await obey(command, `signal:${signals.name}:${command.id}`);
          result = { id: command.id, status: 'done', finishedAt: Date.now(), ...outcome };
        } catch (error) {
          const failure = toStageError(error);
          if (failure.code === 'INTERRUPTED') throw failure;
          result = { id: command.id, status: 'failed', message: failure.message, finishedAt: Date.now() };
        }
        await store.finishSignal(signals.name, result);
        log.info({ ...result, type: command.type }, 'signal ended');
        await report();
      });
    }
  }

  /** Repeats `body` until the stop: a failure that may pass is logged in one line and tried again, later and later. */
  async function keepGoing(what: string, restMs: number, body: () => Promise<void>): Promise<void> {
    let failures = 0;
    while (!stop.signal.aborted) {
      try {
        await body();
        failures = 0;
        await pause(restMs, stop.signal);
      } catch (error) {
        if (stop.signal.aborted) return;
        const failure = toStageError(error);
        if (!failure.retryable) throw failure;
        const pauseMs = Math.min(longestPauseMs, 1000 * 2 ** failures++);
        log.error({ what, code: failure.code, remedy: failure.remedy, pauseMs }, failure.message);
        await pause(pauseMs, stop.signal);
      }
    }
  }

  async function follow(source: Source): Promise<void> {
    let [dead, read] = [0, 0];
    await keepGoing(`source ${source.name}`, schedule.pollMs, async () => {
      await source.connect(await store.positions(source.name));
      try {
        while (!stop.signal.aborted) {
          const batch = await pipeline.ingestOnce(source);
          if (!batch) break;
          dead += batch.deadLetters;
          read += batch.read;
          pipeline.assertTolerance(dead, read);
          log.debug({ source: source.name, ...batch }, 'batch ingested');
          if ((await store.pending()) >= schedule.fold.events) fold(`events:${Date.now()}`);
        }
      } finally {
        await source.close();
      }
    });
  }

  const clocks: Scheduled[] = [{ job: 'fold', expression: schedule.fold.cron }];
  if (schedule.refit.cron) clocks.push({ job: 'refit', expression: schedule.refit.cron });
  if (schedule.publish.cron) clocks.push({ job: 'publish', expression: schedule.publish.cron });
  const stopClocks = await startSchedules(store, clocks, schedule.timezone, due);
  const signalPollMs = config.signals?.pollMs ?? schedule.pollMs;
  const loops = [
    ...parts.sources.map(follow),
    ...(pipeline.signals ? [keepGoing('signals', signalPollMs, pollSignals)] : []),
    new Promise<void>(done => {
      if (stop.signal.aborted) done();
      else stop.signal.addEventListener('abort', () => done(), { once: true });
    }),
  ];
  try {
    await Promise.all(loops);
  } finally {
    stop.abort();
    await Promise.allSettled(loops);
    await stopClocks();
    await queue.drained();
  }
}
