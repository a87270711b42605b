/** Reports progress of a long computation: the stage that it is in and the part of that stage done, 0 … 1. */
export type Progress = (stage: string, part: number) => void;

/**
 * A function that compute threads can call: the exported function `name` of a module. Arguments and results are copied
 * between threads, so they are plain data. A `Progress` as last parameter is the thread's own.
 */
export interface Task<A extends readonly unknown[], R> {
  /** URL of the module. */
  readonly module: string;
  readonly name: string;
  /** Arguments and result; types only. */
  readonly types?: readonly [A, R];
}

type Callable = (...args: never) => unknown;

/** The names of the functions that a module exports. */
type FunctionsOf<M> = { [N in keyof M]: M[N] extends Callable ? N : never }[keyof M] & string;

/** The parameters of `F`, optional ones too, without a last `Progress`. */
type ArgumentsOf<F> = F extends (...args: infer P) => unknown
  ? Required<P> extends readonly [...infer A, Progress]
    ? A
    : Required<P>
  : never;

type ResultOf<F> = F extends (...args: never) => infer R ? Awaited<R> : never;

/**
 * Names the tasks of a module without importing it:
 * `tasksOf<typeof import('./m.js')>(new URL('./m.js', import.meta.url))('f')`.
 */
export const tasksOf =
  <M>(module: URL) =>
  <N extends FunctionsOf<M>>(name: N): Task<ArgumentsOf<M[N]>, ResultOf<M[N]>> => ({
    module: module.href,
    name,
  });
