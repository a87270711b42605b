import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../src/contracts/index.js';
import { StageError, toStageError } from '../src/errors.js';

/** Longest pause between two tries of something that fails, in milliseconds. */
const longestPauseMs = 10_000;

/** Sleeps until the time is over or `signal` aborts. */
const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/** How something is tried again. */
export interface Trying {
  /** Its name in the log. */
  readonly what: string;
  /** Pause after the first failure; it doubles from failure to failure up to ten seconds. */
  readonly firstPauseMs: number;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

const pauseAfter = (failures: number, firstMs: number): number =>
  Math.min(longestPauseMs, firstMs * 2 ** (failures - 1));

/**
 * Tries `body` up to `tries` times while its failures are `retryable`.
 * Throws the last failure, or `INTERRUPTED` after a stop.
 */
export async function retried<T>(tries: number, trying: Trying, body: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await body();
    } catch (error) {
      const { what, signal, log, firstPauseMs } = trying;
      const failure = toStageError(error);
      if (signal.aborted) throw new StageError('INTERRUPTED', `${what} was stopped`);
      if (!failure.retryable || failures >= tries) throw failure;
      const pauseMs = pauseAfter(failures, firstPauseMs);
      log.warn({ what, code: failure.code, remedy: failure.remedy, pauseMs }, failure.message);
      await pause(pauseMs, signal);
    }
  }
}

/**
 * Repeats `body` until the stop, `restMs` apart. A failure that may pass is logged once for as long as it stays the
 * same, and `body` is tried again, later and later, until it returns or says that all is `well`: one that waits for long
 * is well before it returns. Throws any other failure.
 */
export async function keepGoing(
  restMs: number,
  trying: Trying,
  body: (well: () => void) => Promise<void>,
): Promise<void> {
  const { what, signal, log, firstPauseMs } = trying;
  let failures = 0;
  let said = '';
  const well = (): void => {
    if (failures > 0) log.info({ what, failures }, 'worked again');
    failures = 0;
    said = '';
  };
  while (!signal.aborted) {
    try {
      await body(well);
      well();
      await pause(restMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      const { retryable, code, remedy, message } = toStageError(error);
      if (!retryable) throw error;
      const pauseMs = pauseAfter(++failures, firstPauseMs);
      if (message !== said) log.error({ what, code, remedy, pauseMs }, message);
      said = message;
      await pause(pauseMs, signal);
    }
  }
}
