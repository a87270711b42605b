import { randomUUID } from 'node:crypto';
import { toStageError } from '../../src/errors.js';
import { redacted } from '../secrets.js';
import { httpRemedy } from './remedy.js';

/** Tasks that are remembered after their end. */
const kept = 200;
/** Tasks that may wait or run at a time. */
const largestQueue = 20;

/** An operation that was asked for by HTTP, and how it ended. */
export interface Task {
  readonly id: string;
  readonly operation: string;
  /** Epoch ms. */
  readonly askedAt: number;
  status: 'running' | 'done' | 'failed';
  finishedAt?: number;
  result?: unknown;
  error?: { readonly code: string; readonly message: string; readonly remedy: string };
}

/** The operations that change something. They go on when the client has left, so they are answered by an id. */
export class Tasks {
  readonly #tasks = new Map<string, Task>();
  #open = 0;

  get isFull(): boolean {
    return this.#open >= largestQueue;
  }

  get(id: string): Task | undefined {
    return this.#tasks.get(id);
  }

  start(operation: string, body: () => Promise<unknown>): Task {
    const task: Task = { id: randomUUID(), operation, askedAt: Date.now(), status: 'running' };
    this.#tasks.set(task.id, task);
    this.#open++;
    void body()
      .then(
        result => Object.assign(task, { status: 'done', result }),
        error => {
          const failure = toStageError(error);
          const { code, message } = failure;
          const remedy = httpRemedy(failure);
          Object.assign(task, { status: 'failed', error: { code, message: redacted(message), remedy } });
        },
      )
      .finally(() => {
        this.#open--;
        task.finishedAt = Date.now();
        for (const { id, status } of this.#tasks.values())
          if (this.#tasks.size > kept && status !== 'running') this.#tasks.delete(id);
      });
    return task;
  }
}
