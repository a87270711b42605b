import { z } from 'zod';
import { leaseSetting, sinkSettings } from '../../src/publish/sink-options.js';
import { setupOption } from './setup-option.js';

const identifier = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a table name')
  .refine(
    name => !/_(versions|pointers|lease)$/i.test(name),
    'expected a name without _versions, _pointers or _lease at its end: tables beside the lists have those',
  );

/** Settings of the DuckDB sink. */
export const duckdbSinkOptions = z.strictObject({
  type: z.literal('duckdb'),
  database: z.string().min(1).describe('DuckDB file of the tables; made when missing'),
  ...setupOption,
  table: identifier
    .default('lists')
    .describe('table of the lists; `<table>_versions` and `<table>_pointers` stand beside it'),
  ...sinkSettings,
  ...leaseSetting(),
});

/** Settings of the DuckDB sink, defaults filled in. */
export type DuckdbSinkOptions = z.output<typeof duckdbSinkOptions>;
