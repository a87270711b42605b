import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';

/** Pause between two attempts of a standby to open the state, in milliseconds. */
const lookEveryMs = 250;

/**
 * Opens something that another process may hold. Waits until that process closes it or dies, and logs once that it waits.
 * Throws `INTERRUPTED` after a stop.
 */
export async function whenFree<T>(log: Logger, signal: AbortSignal, open: () => Promise<T>): Promise<T> {
  for (let waited = false; ; waited = true) {
    try {
      const opened = await open();
      if (waited) log.info({}, 'the other process has ended: taking over');
      return opened;
    } catch (error) {
      if (!(error instanceof StageError && error.code === 'STATE_LOCKED')) throw error;
      if (!waited) log.info({ reason: error.message }, 'standing by: another process has the state');
      await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw new StageError('INTERRUPTED', 'the standby was stopped');
    }
  }
}
