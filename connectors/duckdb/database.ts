import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { z } from 'zod';
import { StageError } from '../../src/errors.js';

/** Limits of one DuckDB instance. */
export const databaseOptions = z.strictObject({
  memoryLimit: z
    .string()
    .regex(/^\d+(\.\d+)?\s*([KMGT]i?)?B$/i, 'expected a size such as 512MB or 2GiB')
    .optional()
    .describe('memory DuckDB may use before it spills to `tempDirectory`; default: a quarter of `memory`'),
  tempDirectory: z.string().min(1).optional().describe('where DuckDB spills; default: `tmp` beside the file'),
  threads: z.int().min(1).default(2).describe('threads DuckDB may use'),
});
export type DatabaseOptions = z.output<typeof databaseOptions>;

/** A row as plain JavaScript values, by column name. */
export type Row = Record<string, unknown>;

/** First line of a DuckDB error, without its kind. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0]!.replace(/^[A-Z][A-Za-z ]*Error: /, '');
}

/** Opens a database file (or `:memory:`) under the given limits. `STATE_LOCKED` when another process has it. */
export async function openDatabase(
  path: string,
  options: Partial<DatabaseOptions> = {},
): Promise<DuckDBInstance> {
  const { memoryLimit = '1GB', threads, tempDirectory } = databaseOptions.parse(options);
  try {
    return await DuckDBInstance.create(path, {
      memory_limit: memoryLimit.replace(/\s/g, ''),
      threads: String(threads),
      ...(tempDirectory ? { temp_directory: tempDirectory } : {}),
    });
  } catch (error) {
    const text = reason(error);
    if (/lock/i.test(text)) {
      throw new StageError(
        'STATE_LOCKED',
        `${path}: another process has this file open (${text.replace(/^.*?: /, '')})`,
      );
    }
    throw new StageError('STATE_CORRUPT', `${path}: expected a DuckDB file (${text})`, { cause: error });
  }
}

/** All rows of a query. */
export async function all<T extends Row = Row>(
  connection: DuckDBConnection,
  sql: string,
  values: readonly DuckDBValue[] = [],
): Promise<T[]> {
  const reader = await connection.runAndReadAll(sql, [...values]);
  return reader.getRowObjectsJS() as T[];
}

/** The first column of the first row, or `undefined`. */
export async function scalar(
  connection: DuckDBConnection,
  sql: string,
  values: readonly DuckDBValue[] = [],
): Promise<unknown> {
  const reader = await connection.runAndReadAll(sql, [...values]);
  return reader.getRowsJS()[0]?.[0] ?? undefined;
}

/** Runs `body` in one transaction: committed if it returns, rolled back if it throws. */
export async function transaction<T>(connection: DuckDBConnection, body: () => Promise<T>): Promise<T> {
  await connection.run('BEGIN');
  try {
    const result = await body();
    await connection.run('COMMIT');
    return result;
  } catch (error) {
    await connection.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** A connection that serves one caller after the other, so that transactions do not mix. */
export class SerialConnection {
  #tail: Promise<unknown> = Promise.resolve();
  constructor(readonly connection: DuckDBConnection) {}

  /** Runs `body` after everything asked for earlier has ended. */
  use<T>(body: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const turn = this.#tail.then(() => body(this.connection));
    this.#tail = turn.catch(() => undefined);
    return turn;
  }

  /** Waits for the callers there are, then disconnects. */
  async close(): Promise<void> {
    await this.#tail;
    this.connection.closeSync();
  }
}

/** `value` as a SQL string literal. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;
