import { resolve } from 'node:path';
import type { Signal, SignalResult, SignalSource } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all, literal, type Row, wholeReason } from './database.js';
import { ampleRoom, type Room } from './room.js';
import { setupFrom } from './setup-option.js';
import type { DuckdbSignalOptions } from './signal-options.js';
import { openWarehouse } from './warehouse.js';

/** Makes the two tables in `database`, if they are not there. */
export const signalTables = (table: string, results: string): string => `
CREATE TABLE IF NOT EXISTS ${table} (id VARCHAR, type VARCHAR, options JSON, requested_at TIMESTAMP DEFAULT make_timestamp(epoch_us(now())));
CREATE TABLE IF NOT EXISTS ${results} (id VARCHAR, status VARCHAR, version VARCHAR, message VARCHAR, finished_at TIMESTAMP);`;

/** Signals from a warehouse table. The file is opened for a moment at each look, so that others can write to it. */
export const createDuckdbSignals = (
  options: DuckdbSignalOptions,
  baseDirectory = '.',
  room = ampleRoom,
): SignalSource => {
  const setup = setupFrom(options.setup, baseDirectory);
  return new SignalTable({ ...options, setup }, resolve(baseDirectory, options.database), room);
};

class SignalTable implements SignalSource {
  readonly name: string;
  readonly #table: string;
  readonly #results: string;
  readonly #database: string;
  readonly #room: Room;
  readonly #setup: readonly string[] | undefined;

  constructor({ table, results, setup }: DuckdbSignalOptions, database: string, room: Room) {
    this.#setup = setup;
    this.name = `duckdb:${table}`;
    this.#table = table;
    this.#results = results;
    this.#database = database;
    this.#room = room;
  }

  pending(signal?: AbortSignal): Promise<readonly Signal[]> {
    return this.#on('read', signal, async c => {
      const tables = await all(c, 'SELECT table_name AS name FROM duckdb_tables()');
      const answered = tables.some(t => t.name === this.#results.split('.').at(-1));
      const open = `WHERE NOT EXISTS (SELECT 1 FROM ${this.#results} r WHERE r.id::VARCHAR = s.id::VARCHAR)`;
      const rows = await all(
        c,
        `SELECT id::VARCHAR AS id, type, options::VARCHAR AS options, epoch_ms(requested_at) AS at
         FROM ${this.#table} s ${answered ? open : ''} ORDER BY requested_at, id`,
      );
      return rows.filter(r => r.id !== null).map(signalOf);
    });
  }

  async resolve(r: SignalResult, signal?: AbortSignal): Promise<void> {
    const version = r.version === undefined ? 'NULL' : literal(r.version);
    await this.#on('write', signal, async c => {
      await c.run(signalTables(this.#table, this.#results));
      await c.run(
        `INSERT INTO ${this.#results} SELECT ${literal(r.id)}, ${literal(r.status)}, ${version}, ${literal(r.message)},
           make_timestamp(${r.finishedAt}::BIGINT * 1000)
         WHERE NOT EXISTS (SELECT 1 FROM ${this.#results} WHERE id::VARCHAR = ${literal(r.id)})`,
      );
    });
  }

  async close(): Promise<void> {}

  /** Runs `body` on the warehouse, open for that long. */
  async #on<T>(
    mode: 'read' | 'write',
    signal: AbortSignal | undefined,
    body: (connection: DuckDBConnection) => Promise<T>,
  ): Promise<T> {
    const opening = { mode, room: this.#room, signal, setup: this.#setup };
    const { connection, release } = await openWarehouse(this.#database, opening);
    try {
      return await body(connection);
    } catch (error) {
      if (error instanceof StageError) throw error;
      const problem = `signals ${this.#database}: ${wholeReason(error)}`;
      const remedy = `make the tables in it: ${signalTables(this.#table, this.#results).trim().replaceAll('\n', ' ')}`;
      throw new StageError('SOURCE_UNREADABLE', problem, {
        cause: error,
        ...(/ does not exist!?/.test(problem) && { remedy }),
      });
    } finally {
      await release();
    }
  }
}

const signalOf = (r: Row): Signal => ({
  id: String(r.id),
  type: String(r.type),
  ...parseOptions(r.options),
  requestedAt: Number(r.at ?? Date.now()),
});

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
