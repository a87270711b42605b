import { Worker } from 'node:worker_threads';
import { type ErrorCode, StageError } from '../errors.js';
import { holdYoungGeneration } from './collector.js';
import type { Tasks } from './tasks.js';

type Input<T extends keyof Tasks> = Parameters<Tasks[T]>[0];
type Output<T extends keyof Tasks> = Awaited<ReturnType<Tasks[T]>>;
type Message = {
  readonly progress?: { readonly stage: string; readonly part: number };
  readonly error?: { readonly code: ErrorCode; readonly message: string };
  readonly result?: unknown;
};

/** A thread that runs tasks one at a time, so that heavy work never holds up the event loop. */
export interface Compute {
  run<T extends keyof Tasks>(
    task: T,
    input: Input<T>,
    progress?: (stage: string, part: number) => void,
  ): Promise<Output<T>>;
  /** Ends the thread when `signal` is aborted. */
  endOn(signal: AbortSignal | undefined): void;
  /** Ends the thread; a task under way fails with `INTERRUPTED`. */
  close(): Promise<void>;
}

/** Starts a compute thread. With `small` the young generation of the calling thread does not grow meanwhile. */
export function startCompute({ small = false } = {}): Compute {
  // The kernels' memory is not the collector's: what JavaScript makes here is small and soon gone.
  const resourceLimits = { maxYoungGenerationSizeMb: 3 };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { resourceLimits });
  worker.unref();
  if (small) {
    const hold = setInterval(holdYoungGeneration, 1).unref();
    worker.once('online', () => clearInterval(hold)).once('exit', () => clearInterval(hold));
  }
  let ended = false;
  worker.once('exit', () => {
    ended = true;
  });
  const ending = new AbortController();
  let tail: Promise<unknown> = Promise.resolve();
  const once = <T extends keyof Tasks>(
    task: T,
    input: Input<T>,
    progress?: (stage: string, part: number) => void,
  ) =>
    new Promise<Output<T>>((resolve, reject) => {
      const settle = (act: () => void) => {
        worker.off('message', onMessage).off('error', onError).off('exit', onExit);
        worker.unref();
        act();
      };
      const onMessage = (m: Message) => {
        if (m.progress) progress?.(m.progress.stage, m.progress.part);
        else if (m.error) settle(() => reject(new StageError(m.error!.code, m.error!.message)));
        else settle(() => resolve(m.result as Output<T>));
      };
      const onError = (e: Error) =>
        settle(() => reject(new StageError('INTERNAL', `${task}: ${e.message}`, { cause: e })));
      const onExit = () =>
        settle(() => reject(new StageError('INTERRUPTED', `${task} was stopped before it ended`)));
      if (ended) return onExit();
      worker.on('message', onMessage).on('error', onError).on('exit', onExit);
      worker.ref();
      worker.postMessage({ task, input });
    });
  return {
    run(task, input, progress) {
      const turn = tail.then(() => once(task, input, progress));
      tail = turn.catch(() => undefined);
      return turn;
    },
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

/** Runs one task in a thread of its own and ends the thread, which frees its memory. */
export async function runOnce<T extends keyof Tasks>(
  task: T,
  input: Input<T>,
  options: {
    readonly progress?: ((stage: string, part: number) => void) | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<Output<T>> {
  const compute = startCompute();
  compute.endOn(options.signal);
  try {
    options.signal?.throwIfAborted();
    return await compute.run(task, input, options.progress);
  } finally {
    await compute.close();
  }
}
