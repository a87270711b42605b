import type { Logger, Source } from '../src/contracts/index.js';
import { SerialQueue } from '../src/runtime/serial.js';
import { Health } from './health.js';
import { reportIngest } from './ingest-report.js';
import { contextOf, type JobContext } from './job.js';
import { Looked } from './looked.js';
import { logging, type Observer, observers } from './observe.js';
import type { Pipeline } from './open.js';
import { createJobQueue, type JobQueue } from './queue.js';
import { keepGoing, retried } from './retry.js';
import { tracing } from './tracing.js';

/** Tries of one publication (about 45 s with the pauses); while it lasts, the other jobs wait. */
const publishTries = 8;

/** Shared by the loops of `run`. */
export interface Service {
  readonly pipeline: Pipeline;
  readonly context: JobContext;
  readonly queue: JobQueue;
  readonly health: Health;
  readonly log: Logger;
  /** Aborts on a stop, and on a failure that no retry can mend. */
  readonly stop: AbortSignal;
  /** Reads from a source; if there is no room for that beside a job, while none runs. */
  read(source: Source, body: () => Promise<void>): Promise<void>;
  readonly looked: Looked;
  /** Stops the service because of an error, which `rethrow` throws at the end. */
  fail(error: unknown): void;
  rethrow(): void;
  /** Repeats `body` until the stop, `restMs` apart; see `keepGoing`. */
  repeat(what: string, restMs: number, body: (well: () => void) => Promise<void>): Promise<void>;
  /** Waits for the stop and then for the loops, which end with it. */
  untilStopped(loops: readonly Promise<unknown>[]): Promise<void>;
}

/** Sets up what the loops share, for a run that ends when `signal` aborts. */
export function openService(
  pipeline: Pipeline,
  log: Logger,
  signal: AbortSignal,
  others: readonly Observer[] = [],
): Service {
  const { pollMs } = pipeline.config.schedule;
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const trying = (what: string, firstPauseMs: number) => ({ what, firstPauseMs, signal: stop, log });
  const observer = observers([
    logging(log),
    tracing,
    reportIngest(
      pipeline.parts.sources.map(s => s.name),
      log,
      stop,
    ),
    ...others,
  ]);
  const health = new Health(pipeline, observer.health);
  const turns = new SerialQueue();
  const fail = (error: unknown): void => failed.abort(error);
  return {
    pipeline,
    context: contextOf(
      pipeline,
      { signal: stop },
      {
        observer,
        attempt: (what, body) => retried(publishTries, trying(what, pollMs), body),
      },
    ),
    queue: createJobQueue(stop, log, turns),
    health,
    log,
    stop,
    read: (source, body) => (pipeline.inTurns && !source.waits ? turns.add(body) : body()),
    looked: new Looked(pipeline.parts.sources, stop),
    fail,
    rethrow() {
      if (failed.signal.aborted) throw failed.signal.reason;
    },
    repeat: (what, restMs, body) => keepGoing(restMs, trying(what, restMs), body),
    async untilStopped(loops) {
      const stopped = new Promise<void>(done => {
        if (stop.aborted) done();
        else stop.addEventListener('abort', () => done(), { once: true });
      });
      for (const loop of loops) loop.catch(fail);
      await stopped;
      await Promise.allSettled(loops);
    },
  };
}
