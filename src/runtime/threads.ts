import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { StageError } from '../errors.js';
import type { Kernels, TaskArguments } from '../kernels.js';
import { type Address, Arena } from './arena.js';

/** Indices of the control block in int32. The arguments follow it as float64. */
const GENERATION = 0; // counts the jobs; idle threads wait on it
const OPEN = 1; // whether the current job takes new threads
const NEXT = 2; // next task that nobody has taken
const INSIDE = 3; // threads inside the job
const KERNEL = 4;
const TASKS = 5;
const ARGUMENTS = 6;
const SCRATCH = 7;
const STRIDE = 8; // bytes of scratch per thread, divided by 64
const FAILED = 9; // 1 after a trap on another thread
const FIRST_ARGUMENT = 8; // in float64
const MAX_ARGUMENTS = 16;
const CONTROL_BYTES = 8 * (FIRST_ARGUMENT + MAX_ARGUMENTS + 1);

/** Data that a worker starts with. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly thread: number;
}

/** A kernel as threads call it, by its number. */
type Kernel = (...args: readonly number[]) => unknown;

/** A kernel that threads can run. */
export type TaskKernel = keyof TaskArguments;

/** One job: tasks 0 … `tasks` of a kernel, called as `kernel(task, scratch, …args)`. */
export interface Job<K extends TaskKernel = TaskKernel> {
  readonly kernel: K;
  readonly tasks: number;
  readonly args: TaskArguments[K];
  /** Thread t has `scratchBytes` from `scratch + t · scratchBytes` for itself; a multiple of 64. */
  readonly scratch?: Address;
  readonly scratchBytes?: number;
}

/**
 * A fixed set of threads over one arena: the calling thread (number 0) and `size − 1` workers, which sleep between jobs.
 * Threads take tasks one by one from a shared counter; so cut tasks of equal work. With one thread everything runs in
 * the caller. The caller blocks while a job runs, so never own one on a thread that must answer events.
 */
export class Threads {
  readonly size: number;
  readonly #arena: Arena;
  readonly #workers: Worker[] = [];
  readonly #control: Control;

  constructor(arena: Arena, size: number) {
    this.size = size;
    this.#arena = arena;
    this.#control = new Control(new SharedArrayBuffer(CONTROL_BYTES));
    for (let thread = 1; thread < size; thread++) {
      const start: WorkerStart = {
        module: arena.module,
        memory: arena.memory,
        control: this.#control.buffer,
        thread,
      };
      const worker = new Worker(new URL('./threads-worker.js', import.meta.url), {
        workerData: start,
        resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
      });
      worker.unref();
      this.#workers.push(worker);
    }
  }

  /** Runs every task of a job and returns when all are done. */
  run<K extends TaskKernel>(job: Job<K>): void {
    this.start(job);
    this.join();
  }

  /** Lets the workers begin a job. The caller does something else and then calls `join` or `finish`. */
  start<K extends TaskKernel>(job: Job<K>): void {
    this.#control.open(job, Object.keys(this.#arena.kernels).indexOf(job.kernel));
  }

  /** Works on a job that was started, until all its tasks are done. */
  join(): void {
    try {
      this.#control.work(this.#arena.kernels, 0);
    } finally {
      this.finish();
    }
  }

  /** Closes the job to workers that have not begun, and waits for those that have. */
  finish(): void {
    this.#control.close();
  }

  /** Ends the workers. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map(worker => worker.terminate()));
    this.#workers.length = 0;
  }
}

/** Kernel memory and the threads over it. */
export interface Engine {
  readonly arena: Arena;
  readonly threads: Threads;
}

/** Resources of a computation. */
export interface Resources {
  /** Threads, including the calling one; by default one per core. Results do not depend on the number. */
  readonly threads?: number | undefined;
  /** Bytes of kernel memory; by default all that 32-bit addresses reach. */
  readonly memoryBytes?: number | undefined;
  /** Memory and threads that it shares with other computations, instead of its own. */
  readonly engine?: Engine | undefined;
}

/** Runs `body` on the given engine, or on a new one whose threads end afterwards. */
export async function onEngine<T>(
  resources: Resources,
  body: (engine: Engine) => T | Promise<T>,
): Promise<T> {
  if (resources.engine) return body(resources.engine);
  const arena = new Arena(resources.memoryBytes);
  const threads = new Threads(arena, resources.threads ?? availableParallelism());
  try {
    return await body({ arena, threads });
  } finally {
    await threads.close();
  }
}

/** The control block that the caller and the workers share. */
export class Control {
  readonly buffer: SharedArrayBuffer;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#i32 = new Int32Array(buffer);
    this.#f64 = new Float64Array(buffer);
  }

  open(job: Job, kernel: number): void {
    const c = this.#i32;
    if (kernel < 0) throw new RangeError(`no kernel ${job.kernel}`);
    if (job.args.length > MAX_ARGUMENTS)
      throw new RangeError(`${job.kernel} has ${job.args.length} arguments`);
    c[KERNEL] = kernel;
    c[TASKS] = job.tasks;
    c[ARGUMENTS] = job.args.length;
    c[SCRATCH] = job.scratch ?? 0;
    c[STRIDE] = (job.scratchBytes ?? 0) / 64;
    this.#f64.set(job.args, FIRST_ARGUMENT);
    Atomics.store(c, NEXT, 0);
    Atomics.store(c, OPEN, 1);
    Atomics.add(c, GENERATION, 1);
    Atomics.notify(c, GENERATION);
  }

  /** Takes tasks until none is left. */
  work(kernels: Kernels, thread: number): void {
    const c = this.#i32;
    const kernel = Object.values(kernels as unknown as Record<string, Kernel>)[c[KERNEL]!]!;
    const scratch = (c[SCRATCH]! >>> 0) + thread * c[STRIDE]! * 64;
    const args = Array.from(this.#f64.subarray(FIRST_ARGUMENT, FIRST_ARGUMENT + c[ARGUMENTS]!));
    const tasks = c[TASKS]!;
    for (let task: number; (task = Atomics.add(c, NEXT, 1)) < tasks; ) kernel(task, scratch, ...args);
  }

  close(): void {
    const c = this.#i32;
    Atomics.store(c, OPEN, 0);
    for (let inside: number; (inside = Atomics.load(c, INSIDE)) > 0; ) Atomics.wait(c, INSIDE, inside);
    if (Atomics.load(c, FAILED) === 1) {
      Atomics.store(c, FAILED, 0);
      throw new StageError('INTERNAL', `kernel ${c[KERNEL]} trapped on another thread`);
    }
  }

  /** Serves a worker for ever: sleeps until there is a job, and joins it if it is still open. */
  serve(kernels: Kernels, thread: number): never {
    const c = this.#i32;
    for (let seen = 0; ; ) {
      Atomics.wait(c, GENERATION, seen);
      seen = Atomics.load(c, GENERATION);
      // a job that was open after this thread counted itself in cannot be replaced before it has left
      Atomics.add(c, INSIDE, 1);
      try {
        if (Atomics.load(c, OPEN) === 1) this.work(kernels, thread);
      } catch {
        Atomics.store(c, FAILED, 1);
      }
      Atomics.sub(c, INSIDE, 1);
      Atomics.notify(c, INSIDE);
    }
  }
}
