import { z } from 'zod';
import { operation } from './operation.js';

/** Bounds of a query, whoever asks. */
const largestAnswer = 10_000;
const longestMs = 30_000;

/** Answers a SELECT over the documented views of the state. */
export const sql = operation({
  parameters: z.strictObject({
    sql: z.string().min(1).max(100_000),
    rows: z.int().min(1).max(largestAnswer).default(1000),
    timeoutMs: z.int().min(1).max(longestMs).default(10_000),
  }),
  run: ({ pipeline, jobs }, { sql, rows, timeoutMs }) =>
    pipeline.parts.store.query(sql, { rows, timeoutMs }, jobs.settings.signal),
});
