import { parentPort } from 'node:worker_threads';
import { toStageError } from '../errors.js';
import type { Progress } from './task.js';

/** A message to a compute thread: the function of a module that it calls with `args`. */
export interface Call {
  readonly module: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

type Functions = Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

// The shell of a compute thread: runs one task a message and answers with its result or its error.
parentPort?.on('message', async ({ module, name, args }: Call) => {
  const progress: Progress = (stage, part) => parentPort!.postMessage({ progress: { stage, part } });
  try {
    const functions = (await import(module)) as Functions;
    parentPort!.postMessage({ result: await functions[name]!(...args, progress) });
  } catch (error) {
    const { code, message } = toStageError(error);
    parentPort!.postMessage({ error: { code, message } });
  }
});
