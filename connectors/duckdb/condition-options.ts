import { z } from 'zod';
import { setupOption } from './setup-option.js';

/** A question to a warehouse whose answer may start a job. */
export const conditionOptions = z.strictObject({
  database: z
    .string()
    .min(1)
    .optional()
    .describe('DuckDB file; without it the query reads Parquet or CSV files'),
  ...setupOption,
  query: z.string().min(1).describe('SELECT with one value; the job is due when it turns true'),
  pollMs: z.int().min(50).default(60_000).describe('how often it is asked, in milliseconds'),
});
export type ConditionOptions = z.output<typeof conditionOptions>;
