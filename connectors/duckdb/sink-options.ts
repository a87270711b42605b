import { z } from 'zod';
import { sinkSettings } from '../../src/publish/sink-options.js';

const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a table name');

/** Settings of the DuckDB sink. */
export const duckdbSinkOptions = z.strictObject({
  type: z.literal('duckdb'),
  /** DuckDB file of the tables; made when missing. */
  database: z.string().min(1),
  /** Table of the lists; `<table>_versions` and `<table>_pointers` stand beside it. */
  table: identifier.default('lists'),
  ...sinkSettings,
});

/** Settings of the DuckDB sink, defaults filled in. */
export type DuckdbSinkOptions = z.output<typeof duckdbSinkOptions>;
