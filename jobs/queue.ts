import type { Logger } from '../src/contracts/index.js';
import { StageError, toStageError } from '../src/errors.js';
import { SerialQueue } from '../src/runtime/serial.js';

/** Jobs that run one at a time, in the order asked for. */
export interface JobQueue {
  /**
   * Queues a job. If one waits under the same key and has not begun, it runs once for both calls. Returns true when
   * the job has ended, well or badly, and false when a stop came first.
   */
  add(key: string, body: () => Promise<unknown>): Promise<boolean>;
  /**
   * Runs `body` when everything queued before has ended, for somebody who waits for its result or its failure. Throws
   * `INTERRUPTED` when a stop came first.
   */
  turn<T>(name: string, body: () => Promise<T>): Promise<T>;
  /** Waits until every job has ended. */
  drained(): Promise<void>;
}

/**
 * Makes a queue that begins no job after `signal` aborts. A failure is logged and ends only its own job. Jobs take turns
 * with what else is added to `queue`.
 */
export function createJobQueue(signal: AbortSignal, log: Logger, queue = new SerialQueue()): JobQueue {
  const waiting = new Map<string, Promise<boolean>>();

  async function run(key: string, body: () => Promise<unknown>): Promise<boolean> {
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
  }

  return {
    add(key, body) {
      const known = waiting.get(key);
      if (known) return known;
      const queued = queue.add(() => run(key, body));
      waiting.set(key, queued);
      return queued;
    },
    turn: (name, body) =>
      queue.add(async () => {
        if (signal.aborted) throw new StageError('INTERRUPTED', `${name} was stopped`);
        return body();
      }),
    drained: () => queue.drained(),
  };
}
