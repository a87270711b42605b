import type { z } from 'zod';
import type { JobContext } from '../job.js';
import type { Pipeline } from '../open.js';

/** Everything that an operation gets besides its parameters. */
export interface OperationContext {
  readonly pipeline: Pipeline;
  /** For the jobs that it runs. `jobs.settings.signal` aborts when nobody waits for the result any more. */
  readonly jobs: JobContext;
  /** Shows the progress of a long operation. */
  readonly progress: (text: string) => void;
}

/**
 * An operation on an open pipeline. The command line, the control socket and HTTP carry out the same ones. Its result
 * survives JSON: plain objects, without functions and typed arrays.
 */
export interface Operation<S extends z.ZodType = z.ZodType, R = unknown> {
  readonly parameters: S;
  /** It changes the state or the sinks: the state is opened for writing, it waits for its turn, and HTTP wants the token. */
  readonly changes?: true;
  /** It changes nothing, but needs the state or the sinks for itself, and waits for its turn among the jobs. */
  readonly waits?: true;
  /** An answer may be given again for so long: many ask, and it is dear. */
  readonly freshMs?: number;
  /** Throws for parameters that fit the schema and would be refused all the same; changes nothing. */
  check?(pipeline: Pipeline, parameters: z.output<S>): unknown;
  run(context: OperationContext, parameters: z.output<S>): Promise<R>;
}

/** An operation with the types of its parameters and its result. */
export const operation = <S extends z.ZodType, R>(given: Operation<S, R>): Operation<S, R> => given;

/** The context of jobs whose progress is shown as `text` says. */
export const shownAs = (
  { jobs, progress }: OperationContext,
  text: (stage: string, part: string) => string,
): JobContext => ({
  ...jobs,
  settings: {
    ...jobs.settings,
    progress: (stage, part) => progress(text(stage, `${Math.floor(part * 100)}%`)),
  },
});
