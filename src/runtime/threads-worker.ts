import { workerData } from 'node:worker_threads';
import { instantiate } from './arena.js';
import { Control, type WorkerStart } from './threads.js';

const { module, memory, control, thread } = workerData as WorkerStart;
new Control(control).serve(instantiate(module, memory), thread);
