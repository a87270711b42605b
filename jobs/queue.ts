import type { Logger } from '../src/contracts/index.js';
import { toStageError } from '../src/errors.js';
import { SerialQueue } from '../src/runtime/serial.js';

/** Jobs that run one at a time, in the order asked for. */
export interface JobQueue {
  /**
   * Queues a job; one that waits under the same key already (and has not begun) stands for both. Tells
   * whether the job has ended, well or badly: false when a stop kept it from that.
   */
  add(key: string, body: () => Promise<unknown>): Promise<boolean>;
  /** Waits until every job has ended. */
  drained(): Promise<void>;
}

/** A queue that begins no job after `signal` aborts. A job's failure is logged and ends that job only. */
export function createJobQueue(signal: AbortSignal, log: Logger): JobQueue {
  const waiting = new Map<string, Promise<boolean>>();
  const queue = new SerialQueue();

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
    drained: () => queue.drained(),
  };
}
