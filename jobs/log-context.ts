import { AsyncLocalStorage } from 'node:async_hooks';

/** Fields of every line that is logged on behalf of a part of the stage, however deep below it. */
export interface LogContext {
  /** The part: a job by its name, `ingest`, `health`, … */
  readonly component: string;
  /** The ledger's run, for a job that has one. */
  readonly run?: number;
}

const contexts = new AsyncLocalStorage<LogContext>();

/** The fields of the part that runs now, in an object of their own: the logger puts those of a line into it. */
export const logContext = (): object => ({ ...contexts.getStore() });

/** Runs `body` on behalf of a part. */
export const onBehalfOf = <T>(context: LogContext, body: () => T): T => contexts.run(context, body);
