import { Worker } from 'node:worker_threads';
import { type ErrorCode, StageError } from '../errors.js';
import { holdYoungGeneration } from './collector.js';
import { SerialQueue } from './serial.js';
import type { Progress, Task } from './task.js';
import type { Call } from './worker.js';

type Message = {
  readonly progress?: { readonly stage: string; readonly part: number };
  readonly error?: { readonly code: ErrorCode; readonly message: string };
  readonly result?: unknown;
};

/** A thread that runs tasks one at a time, so that heavy work never holds up the event loop. */
export interface Compute {
  /** Calls the task in the thread, behind the tasks before it. Throws what it throws, or `INTERRUPTED`. */
  run<A extends readonly unknown[], R>(task: Task<A, R>, args: NoInfer<A>, progress?: Progress): Promise<R>;
  /** Ends the thread when `signal` is aborted. */
  endOn(signal: AbortSignal | undefined): void;
  /** Ends the thread; a task under way fails with `INTERRUPTED`. */
  close(): Promise<void>;
}

/**
 * Starts a compute thread. With `keepYoungGenerationSmall` the semi-space of the calling thread does not grow while the
 * new one starts.
 */
export function startCompute({ keepYoungGenerationSmall = false } = {}): Compute {
  // The kernels' memory is outside of the heap: JavaScript itself makes few and short-lived objects here.
  const resourceLimits = { maxYoungGenerationSizeMb: 3 };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { resourceLimits });
  worker.unref();
  if (keepYoungGenerationSmall) {
    const hold = setInterval(holdYoungGeneration, 1).unref();
    worker.once('online', () => clearInterval(hold)).once('exit', () => clearInterval(hold));
  }
  let ended = false;
  worker.once('exit', () => {
    ended = true;
  });
  const ending = new AbortController();
  const queue = new SerialQueue();
  return {
    run: (task, args, progress) =>
      queue.add(() => {
        if (ended) throw interrupted(task.name);
        return callIn(worker, task, args, progress);
      }),
    endOn(signal) {
      const stop = () => void worker.terminate();
      signal?.addEventListener('abort', stop, { once: true, signal: ending.signal });
      if (signal?.aborted) stop();
    },
    async close() {
      ending.abort();
      await worker.terminate();
    },
  };
}

/** Sends one call to a worker that runs no other, and waits for its answer. */
function callIn<A extends readonly unknown[], R>(
  worker: Worker,
  { module, name }: Task<A, R>,
  args: NoInfer<A>,
  progress: Progress | undefined,
): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      worker.unref();
      act();
    };
    const onMessage = (m: Message) => {
      if (m.progress) progress?.(m.progress.stage, m.progress.part);
      else if (m.error) settle(() => reject(new StageError(m.error!.code, m.error!.message)));
      else settle(() => resolve(m.result as R));
    };
    const onError = (e: Error) =>
      settle(() => reject(new StageError('INTERNAL', `${name}: ${e.message}`, { cause: e })));
    const onExit = () => settle(() => reject(interrupted(name)));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.ref();
    const call: Call = { module, name, args };
    worker.postMessage(call);
  });
}

const interrupted = (name: string): StageError =>
  new StageError('INTERRUPTED', `${name} was stopped before it ended`);

/** Runs one task in a thread of its own and ends the thread, which frees its memory. */
export async function runOnce<A extends readonly unknown[], R>(
  task: Task<A, R>,
  args: NoInfer<A>,
  options: { readonly progress?: Progress | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<R> {
  const compute = startCompute();
  compute.endOn(options.signal);
  try {
    if (options.signal?.aborted) throw interrupted(task.name);
    return await compute.run(task, args, options.progress);
  } finally {
    await compute.close();
  }
}
