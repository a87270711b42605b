import { parentPort } from 'node:worker_threads';
import { toStageError } from '../errors.js';
import { type Tasks, tasks } from './tasks.js';

/** The shell of a compute thread: runs one named task a message and answers with its result or its error. */
parentPort?.on('message', async ({ task, input }: { task: keyof Tasks; input: never }) => {
  const progress = (stage: string, part: number) => parentPort!.postMessage({ progress: { stage, part } });
  try {
    parentPort!.postMessage({ result: await tasks[task](input, progress) });
  } catch (error) {
    const { code, message } = toStageError(error);
    parentPort!.postMessage({ error: { code, message } });
  }
});
