import { z } from 'zod';
import { timeOptions } from '../../src/stages/event-time.js';
import { duration } from '../../src/stages/options.js';
import { setupOption } from './setup-option.js';

/** A query over a DuckDB file, or over Parquet and CSV files, whose rows are events. */
export const duckdbSourceOptions = z.strictObject({
  type: z.literal('duckdb'),
  name: z.string().min(1).default('duckdb').describe('name of the source in the state'),
  database: z
    .string()
    .min(1)
    .optional()
    .describe('DuckDB file; without it, the query reads Parquet or CSV files'),
  query: z
    .string()
    .min(1)
    .describe('SELECT with columns user and item, and where they exist weight, op, ts and id'),
  cursor: z
    .string()
    .min(1)
    .optional()
    .describe(
      'column that grows from row to row; without it, the query must give its rows in a stable order',
    ),
  onChangedQuery: z
    .enum(['refuse', 'keep', 'reread'])
    .default('refuse')
    .describe(
      'when the query or its cursor is another: stop, go on behind the same place, or read all rows again',
    ),
  lookBack: duration
    .or(z.number().gt(0))
    .optional()
    .describe('how far behind the cursor rows that came late are still taken; the query gives ids'),
  ...setupOption,
  ...timeOptions,
  batchSize: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(50_000)
    .describe('rows of one transaction; more than 200,000 that SQL decodes come in one'),
  checkMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe('how often rows that came too late for the cursor are looked for, in milliseconds'),
});
export type DuckdbSourceOptions = z.output<typeof duckdbSourceOptions>;
