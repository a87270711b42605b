/** The operations table: everything that can be asked of an open pipeline, by its name. */
import type { z } from 'zod';
import { deadLetters, dropDeadLetters, retryDeadLetters, runs, signals } from './history.js';
import { compact, fit, fold, forget, fresh, publish, receipts, refit, rollback, verify } from './jobs.js';
import { explain, recommend, segments, similar } from './lists.js';
import { compareModels, model, models, prune, published } from './models.js';
import type { Operation } from './operation.js';
import { sql } from './sql.js';
import { status } from './status.js';
import { resetTuned, tune } from './tune.js';

export const operations = {
  status,
  recommend,
  similar,
  explain,
  segments,
  models,
  model,
  published,
  compareModels,
  prune,
  runs,
  signals,
  deadLetters,
  dropDeadLetters,
  retryDeadLetters,
  sql,
  verify,
  fold,
  compact,
  fit,
  refit,
  publish,
  fresh,
  rollback,
  forget,
  receipts,
  tune,
  resetTuned,
} as const;

type Operations = typeof operations;
export type OperationName = keyof Operations;
export type ParametersOf<N extends OperationName> = z.input<Operations[N]['parameters']>;
export type ResultOf<N extends OperationName> = Operations[N] extends Operation<infer _, infer R> ? R : never;

/** The operation of this name, if there is one. */
export const operationOf = (name: string): Operation | undefined =>
  Object.hasOwn(operations, name) ? (operations[name as OperationName] as unknown as Operation) : undefined;
