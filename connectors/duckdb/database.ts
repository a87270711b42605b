import { setImmediate } from 'node:timers/promises';
import { denied, isDenied, StageError } from '../../src/errors.js';
import { collectGarbage, collectYoung } from '../../src/runtime/collector.js';
import { SerialQueue } from '../../src/runtime/serial.js';
import { type DuckDBConnection, type DuckDBDataChunk, DuckDBInstance, type DuckDBValue } from './client.js';
import { type DatabaseOptions, databaseOptions } from './options.js';

/** A row as plain JavaScript values, by column name. */
export type Row = Record<string, unknown>;

/** A DuckDB error in a line, without its kind. */
export function reason(error: unknown): string {
  const [first = '', ...rest] = (error instanceof Error ? error.message : String(error)).split('\n');
  const line = first.replace(/^Failed to extract statements: /, '').replace(/^[A-Z][A-Za-z ]*Error: /, '');
  if (!line.startsWith('CSV Error on Line')) return line;
  // What went wrong in a CSV file, and in which, stands further down.
  const file = rest.map(l => /^\s*file = (.*)/.exec(l)?.[1]).find(Boolean);
  const what = rest.find(l => !/^Original Line/.test(l) && /^[A-Z]/.test(l));
  const remedy = 'read_csv(…, ignore_errors = true) or all_varchar = true reads past it';
  return `${file ? `${file}: ` : ''}${line}${what ? `: ${what.replace(/\.$/, '')}` : ''}; ${remedy}`;
}

/** All that DuckDB says of an error, in a line, without its kind and the place in the statement. */
export function wholeReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/^[A-Za-z ]*CSV Error on Line/.test(reason(error))) return reason(error);
  const [, ...more] = text
    .replace(/\n+LINE \d+:.*/s, '')
    .split('\n')
    .map(line => line.trim());
  return [reason(error), ...more].filter(line => line !== '').join(' ');
}

/** Whether DuckDB could not open a file because another process has it; a damaged "block" is another matter. */
export const isLocked = (error: unknown): boolean =>
  /could not set lock|conflicting lock|being used by another process/i.test(reason(error));

/** Has DuckDB give freed memory back to the system soon: in a small room what it keeps counts. */
const givesBack = {
  allocator_flush_threshold: '1MB',
  allocator_bulk_deallocation_flush_threshold: '1MB',
};

/** Opens a database file (or `:memory:`) under the given limits; throws what DuckDB says. */
export async function createInstance(
  path: string,
  options: Partial<DatabaseOptions>,
  readOnly = false,
): Promise<DuckDBInstance> {
  const { memoryLimit = '1GB', threads, tempDirectory } = databaseOptions.parse(options);
  return DuckDBInstance.create(path, {
    memory_limit: memoryLimit.replace(/\s/g, ''),
    threads: String(threads),
    ...(threads === 1 ? givesBack : {}),
    ...(readOnly ? { access_mode: 'READ_ONLY' } : {}),
    ...(tempDirectory ? { temp_directory: tempDirectory } : {}),
  });
}

/** Opens a database of ours under the given limits. `STATE_LOCKED` when another process has it, `ACCESS_REFUSED` without the right. */
export async function openDatabase(
  path: string,
  options: Partial<DatabaseOptions> = {},
  readOnly = false,
): Promise<DuckDBInstance> {
  try {
    return await createInstance(path, options, readOnly);
  } catch (error) {
    const text = reason(error);
    if (isLocked(error)) {
      throw new StageError(
        'STATE_LOCKED',
        `${path}: another process has this file open (${text.replace(/^.*?: /, '')})`,
      );
    }
    if (isDenied(error)) throw denied(`${path}: ${text}`, error);
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

/** Some rows of a result: the first `rows` of `chunk`. */
export interface RowChunk {
  readonly chunk: DuckDBDataChunk;
  readonly rows: number;
}

/** The rows of `sql`, all of which DuckDB holds: for some 100,000 of them that takes half as long as to stream them. */
export async function* heldRows(connection: DuckDBConnection, sql: string): AsyncGenerator<RowChunk> {
  const result = await connection.run(sql);
  for (let k = 0; k < result.chunkCount; k++) {
    const chunk = result.getChunk(k);
    yield { chunk, rows: chunk.rowCount };
  }
}

/** Chunks between two collections: their values lie outside of V8's heap, some 100 KB each. */
const chunksBetween = 64;

/**
 * Streams the rows of `sql`, which gives `columns` columns. The client reports a result that fails on its way
 * (a damaged page, a value that does not convert, no memory) like one that has come to its end, so a row of our
 * own marks the end: UNION ALL keeps the order of rows.
 */
export async function* streamRows(
  connection: DuckDBConnection,
  sql: string,
  columns: number,
  values: readonly DuckDBValue[] = [],
): AsyncGenerator<RowChunk> {
  const last = `SELECT ${'NULL, '.repeat(columns)}true`;
  const result = await connection.stream(`SELECT *, false FROM (${sql}) UNION ALL ${last}`, [...values]);
  let open = true;
  let ended = false;
  try {
    for (let chunks = 1; ; chunks++) {
      const chunk = await result.fetchChunk();
      if (chunks % chunksBetween === 0) collectYoung();
      open = chunk !== null && chunk.rowCount > 0;
      if (!chunk || !open) break;
      ended = chunk.getColumnVector(columns).getItem(chunk.rowCount - 1) === true;
      yield { chunk, rows: ended ? chunk.rowCount - 1 : chunk.rowCount };
    }
  } finally {
    // A result that is not read to its end keeps its database open, beyond the connection's and its own end.
    if (open) {
      connection.interrupt();
      while (((await result.fetchChunk())?.rowCount ?? 0) > 0);
    }
  }
  if (ended) return;
  await connection.run(sql, [...values]); // fails again, and says why
  throw new Error('the result of the query ended before its last row');
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
  readonly #queue = new SerialQueue();
  #connection: DuckDBConnection;
  constructor(connection: DuckDBConnection) {
    this.#connection = connection;
  }

  get connection(): DuckDBConnection {
    return this.#connection;
  }

  /** Runs `body` after everything asked for earlier has ended. */
  use<T>(body: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    return this.#queue.add(() => body(this.#connection));
  }

  /** All rows of a statement. */
  all<T extends Row = Row>(sql: string, values: readonly DuckDBValue[] = []): Promise<T[]> {
    return this.use(c => all<T>(c, sql, values));
  }

  /** The first column of the first row, or `undefined`. */
  scalar(sql: string, values: readonly DuckDBValue[] = []): Promise<unknown> {
    return this.use(c => scalar(c, sql, values));
  }

  async run(sql: string, values: readonly DuckDBValue[] = []): Promise<void> {
    await this.use(c => c.run(sql, [...values]));
  }

  /** Runs `body` in one transaction. */
  transaction<T>(body: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    return this.use(c => transaction(c, () => body(c)));
  }

  /** Goes on with another connection; called by what `use` runs. */
  switchTo(connection: DuckDBConnection): void {
    this.#connection.closeSync();
    this.#connection = connection;
  }

  /** Waits for the callers there are, then disconnects. */
  async close(): Promise<void> {
    await this.#queue.drained();
    this.#connection.closeSync();
  }
}

/** `value` as a SQL string literal. */
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/**
 * Gives back what results hold that are no longer used: their memory and, after their database is closed, the lock on
 * its file. Both go with the JavaScript objects, which are too small to make the collector run; so it is run here.
 */
export async function releaseResults(): Promise<void> {
  collectGarbage();
  await setImmediate(); // finalizers run between turns of the event loop
}
