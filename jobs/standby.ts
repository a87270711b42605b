import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';

/** How often a standby looks whether the state is free, in milliseconds. */
const lookEveryMs = 250;

/**
 * Opens something that another process may have: waits until that process lets go of it or dies, and says so once.
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
