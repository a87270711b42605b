import { z } from 'zod';
import { setupOption } from './setup-option.js';

const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.]*$/, 'expected a table name');

/** A table `(id, type, options, requested_at)` in a DuckDB file whose rows are commands. */
export const duckdbSignalOptions = z.strictObject({
  type: z.literal('duckdb'),
  database: z.string().min(1).describe('DuckDB file with the signals table'),
  ...setupOption,
  table: identifier.default('signals').describe('commands are inserted here'),
  results: identifier.default('signal_results').describe('outcomes are written here'),
  pollMs: z.int().min(50).default(1000).describe('how often the table is looked at, in milliseconds'),
});
export type DuckdbSignalOptions = z.output<typeof duckdbSignalOptions>;
