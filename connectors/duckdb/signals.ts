import { resolve } from 'node:path';
import { z } from 'zod';
import type { Signal, SignalSource } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { all, ampleRoom, literal, reason } from './database.js';
import { openWarehouse } from './warehouse.js';

const identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.]*$/, 'expected a table name');

/** A table `(id, type, options, requested_at)` in a DuckDB file whose rows are commands. */
export const duckdbSignalOptions = z.strictObject({
  type: z.literal('duckdb'),
  database: z.string().min(1).describe('DuckDB file with the signals table'),
  table: identifier.default('signals').describe('commands are inserted here'),
  results: identifier.default('signal_results').describe('outcomes are written here'),
  pollMs: z.int().min(50).default(1000).describe('how often the table is looked at, in milliseconds'),
});
export type DuckdbSignalOptions = z.output<typeof duckdbSignalOptions>;

/** Makes the two tables in `database`, if they are not there. */
export const signalTables = (table: string, results: string): string => `
CREATE TABLE IF NOT EXISTS ${table} (id VARCHAR, type VARCHAR, options JSON, requested_at TIMESTAMP DEFAULT make_timestamp(epoch_us(now())));
CREATE TABLE IF NOT EXISTS ${results} (id VARCHAR, status VARCHAR, version VARCHAR, message VARCHAR, finished_at TIMESTAMP);`;

/** Signals from a warehouse table. The file is opened for a moment at each look, so that others can write to it. */
export function createDuckdbSignals(
  options: DuckdbSignalOptions,
  baseDirectory = '.',
  room = ampleRoom,
): SignalSource {
  const { table, results } = options;
  const database = resolve(baseDirectory, options.database);
  const name = `duckdb:${table}`;
  const failed = (error: unknown): StageError =>
    error instanceof StageError
      ? error
      : new StageError('SOURCE_UNREADABLE', `signals ${database}: ${reason(error)}`, { cause: error });

  return {
    name,
    async pending(signal) {
      const { connection, release } = await openWarehouse(database, { mode: 'read', room, signal });
      try {
        const tables = (await all(connection, 'SELECT table_name FROM duckdb_tables()')).map(
          r => r.table_name,
        );
        const open = tables.includes(results.split('.').at(-1)!)
          ? `WHERE NOT EXISTS (SELECT 1 FROM ${results} r WHERE r.id::VARCHAR = s.id::VARCHAR)`
          : '';
        const rows = await all(
          connection,
          `SELECT id::VARCHAR AS id, type, options::VARCHAR AS options, epoch_ms(requested_at) AS at FROM ${table} s ${open}
           ORDER BY requested_at, id`,
        );
        return rows
          .filter(r => r.id !== null)
          .map(
            (r): Signal => ({
              id: String(r.id),
              type: String(r.type),
              ...parseOptions(r.options),
              requestedAt: Number(r.at ?? Date.now()),
            }),
          );
      } catch (error) {
        throw failed(error);
      } finally {
        await release();
      }
    },

    async resolve(r, signal) {
      const { connection, release } = await openWarehouse(database, { mode: 'write', room, signal });
      try {
        await connection.run(signalTables(table, results));
        const version = r.version === undefined ? 'NULL' : literal(r.version);
        await connection.run(
          `INSERT INTO ${results} SELECT ${literal(r.id)}, ${literal(r.status)}, ${version}, ${literal(r.message)},
             make_timestamp(${r.finishedAt}::BIGINT * 1000)
           WHERE NOT EXISTS (SELECT 1 FROM ${results} WHERE id::VARCHAR = ${literal(r.id)})`,
        );
      } catch (error) {
        throw failed(error);
      } finally {
        await release();
      }
    },

    async close() {},
  };
}

/** The options column as an object; anything else is a problem for the command's result to name. */
function parseOptions(text: unknown): Pick<Signal, 'options' | 'problem'> {
  if (text === null || text === undefined || text === '') return { options: {} };
  try {
    const value: unknown = JSON.parse(String(text));
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return { options: value as Record<string, unknown> };
  } catch {}
  const problem = `options: expected a JSON object such as {"l2": 10}, found ${JSON.stringify(String(text).slice(0, 200))}`;
  return { options: {}, problem };
}
