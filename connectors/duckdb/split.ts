import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StageError } from '../../src/errors.js';
import type { Rows } from '../../src/matrix/rows.js';
import { maxFixedPoint } from '../../src/stages/event-weight.js';
import type { DuckDBConnection } from './client.js';
import { all, literal, openDatabase, reason, releaseResults, scalar } from './database.js';
import { isNumber } from './project.js';
import { readRows } from './rows.js';

/** A train and a test matrix over one numbering of users and items. */
export interface Split {
  /** n items of the train set. */
  readonly train: Rows;
  /** Items that the train set lacks have ids ≥ n. */
  readonly test: Rows;
  /** Fixed-point scale of the values. */
  readonly scale: number;
}

/** Sizes of a split, known before its rows are read. */
export interface SplitSize {
  readonly users: number;
  readonly items: number;
  readonly interactions: number;
  readonly testInteractions: number;
  /** Whether values other than 1 occur. */
  readonly valued: boolean;
}

async function loadFile(connection: DuckDBConnection, table: string, path: string): Promise<boolean> {
  if (!existsSync(path))
    throw new StageError('SOURCE_UNREADABLE', `${path}: expected a Parquet or CSV file, found none`);
  const fail = (error: unknown) =>
    new StageError('SOURCE_UNREADABLE', `${path}: ${reason(error)}`, { cause: error });
  const columns = await all(connection, `DESCRIBE SELECT * FROM ${literal(path)}`).catch(error => {
    throw fail(error);
  });
  const names = columns.map(c => String(c.column_name).toLowerCase());
  for (const needed of ['user', 'item']) {
    if (!names.includes(needed)) {
      throw new StageError(
        'SOURCE_UNREADABLE',
        `${path}: expected columns user, item[, weight], found ${names.join(', ')}`,
      );
    }
  }
  const weighted = names.includes('weight');
  const type = weighted ? String(columns[names.indexOf('weight')]!.column_type) : 'DOUBLE';
  if (!isNumber(type)) {
    throw new StageError('DATA_INVALID', `${path}: column weight: expected numbers, found ${type}`);
  }
  await connection
    .run(
      `CREATE TEMP TABLE ${table} AS SELECT "user", item, ${weighted ? 'sum(weight)::DOUBLE' : '1::DOUBLE'} AS weight
       FROM ${literal(path)} GROUP BY "user", item`,
    )
    .catch(error => {
      throw fail(error);
    });
  const nameless = await scalar(
    connection,
    `SELECT count(*) FROM ${table} WHERE "user" IS NULL OR item IS NULL`,
  );
  if (Number(nameless) > 0) {
    throw new StageError(
      'DATA_INVALID',
      `${path}: columns user, item: expected a value in every row, found ${nameless} pairs without one`,
    );
  }
  const bad = await scalar(
    connection,
    `SELECT count(*) FROM ${table} WHERE weight IS NULL OR NOT (isfinite(weight) AND weight >= 0)`,
  );
  if (Number(bad) > 0) {
    throw new StageError(
      'DATA_INVALID',
      `${path}: column weight: expected finite numbers ≥ 0, found ${bad} pairs without one`,
    );
  }
  return weighted;
}

/** Where one file holds numbers and the other text, both become text. */
async function sameType(connection: DuckDBConnection, column: string): Promise<void> {
  const types = await all(
    connection,
    `SELECT DISTINCT data_type FROM duckdb_columns() WHERE table_name IN ('train', 'test') AND column_name ILIKE ${literal(column)}`,
  );
  if (types.length < 2 || !types.some(t => t.data_type === 'VARCHAR')) return;
  for (const table of ['train', 'test'])
    await connection.run(`ALTER TABLE ${table} ALTER "${column}" TYPE VARCHAR`);
}

const count = async (connection: DuckDBConnection, sql: string): Promise<number> =>
  Number(await scalar(connection, `SELECT ${sql}`));

/** Numbers users and items in the tables `users` and `items`: first those of the train set, each in natural order. */
async function numberKeys(connection: DuckDBConnection): Promise<void> {
  for (const [table, column] of [
    ['users', '"user"'],
    ['items', 'item'],
  ] as const) {
    await sameType(connection, column.replaceAll('"', ''));
    await connection.run(
      `CREATE TEMP TABLE ${table} AS
       SELECT key, (row_number() OVER (ORDER BY known DESC, key) - 1)::INTEGER AS id
       FROM (SELECT key, max(known) AS known FROM (
         SELECT ${column} AS key, 1 AS known FROM train UNION ALL SELECT ${column}, 0 FROM test) GROUP BY key)`,
    );
  }
}

/** The fixed-point scale of the train set's weights, and the largest of them by it. */
async function scaleOf(connection: DuckDBConnection, path: string, weighted: boolean) {
  const fractional =
    weighted && (await count(connection, 'count(*) FROM train WHERE weight <> round(weight)'));
  const scale = fractional ? 100 : 1;
  const most = scale * (await count(connection, 'coalesce(max(weight), 0) FROM train'));
  if (most > maxFixedPoint) {
    throw new StageError(
      'DATA_INVALID',
      `${path}: column weight: expected at most ${maxFixedPoint / scale}, found ${most / scale}`,
    );
  }
  return { scale, most };
}

/** Reads both files over `connection`, which has no table yet. */
async function readSplit(
  connection: DuckDBConnection,
  trainPath: string,
  testPath: string,
  plan: (size: SplitSize) => void,
): Promise<Split> {
  const weighted = await loadFile(connection, 'train', trainPath);
  await loadFile(connection, 'test', testPath);
  const { scale, most } = await scaleOf(connection, trainPath, weighted);
  await numberKeys(connection);
  const size = {
    users: await count(connection, 'count(*) FROM users'),
    items: await count(connection, 'count(DISTINCT item) FROM train'),
    interactions: await count(connection, 'count(*) FROM train WHERE weight > 0'),
    testInteractions: await count(connection, 'count(*) FROM test'),
    valued: most !== 1 || (await count(connection, 'coalesce(min(weight), 1) FROM train')) !== 1,
  };
  plan(size);
  const read = (table: string, value: string, width: number, expected: number) =>
    readRows(
      connection,
      `SELECT u.id, i.id, (${value})::INTEGER FROM ${table} t JOIN users u ON u.key = t."user" JOIN items i ON i.key = t.item
       WHERE ${value} > 0 ORDER BY 1, 2`,
      width,
      { expected, shared: true },
    );
  const train = await read('train', `round(weight * ${scale})`, size.items, size.interactions);
  if (train.indices.length === 0)
    throw new StageError('DATA_INVALID', `${trainPath}: expected interactions, found none`);
  const total = await count(connection, 'count(*) FROM items');
  return { train, test: await read('test', '1', total, size.testInteractions), scale };
}

/**
 * Memory for the query of these files: grouping and sorting take a few times their size, and a CSV's buffers more. DuckDB
 * fills what it gets, and more would only linger.
 */
function sufficient(paths: readonly string[]): number {
  const bytes = paths.reduce((sum, p) => sum + (statSync(p, { throwIfNoEntry: false })?.size ?? 0), 0);
  const [least, times] = paths.every(p => p.endsWith('.parquet')) ? [2 ** 25, 5] : [2 ** 26, 8];
  return Math.max(least, times * bytes);
}

/**
 * Reads train and test interactions (columns `user, item[, weight]`, of any type) from Parquet or CSV files.
 * Ids number the users and items in their natural order; repeated pairs are added up.
 *
 * DuckDB uses at most `memoryBytes` meanwhile. `plan` hears the sizes before the rows are read and may throw. Entries
 * lie in shared memory. `signal` interrupts a query.
 *
 * @throws StageError `SOURCE_UNREADABLE` for a file that is missing, unreadable or lacks a column,
 *   `DATA_INVALID` for weights that are negative or not finite and for an empty train set.
 */
export async function loadSplit(
  trainPath: string,
  testPath: string,
  memoryBytes = 2 ** 28,
  plan: (size: SplitSize) => void = () => {},
  signal?: AbortSignal,
): Promise<Split> {
  const spill = mkdtempSync(join(tmpdir(), 'sansa-stream-'));
  const share = Math.min(memoryBytes, sufficient([trainPath, testPath]));
  const memoryLimit = `${Math.floor(share / 1024)}KiB`;
  const database = await openDatabase(':memory:', { memoryLimit, threads: 1, tempDirectory: spill });
  const connection = await database.connect();
  const interrupt = () => connection.interrupt();
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    signal?.throwIfAborted();
    return await readSplit(connection, trainPath, testPath, plan);
  } catch (error) {
    if (error instanceof StageError) throw error;
    throw new StageError('SOURCE_UNREADABLE', `${trainPath}, ${testPath}: ${reason(error)}`, {
      cause: error,
    });
  } finally {
    signal?.removeEventListener('abort', interrupt);
    connection.closeSync();
    database.closeSync();
    rmSync(spill, { recursive: true, force: true });
    await releaseResults();
  }
}
