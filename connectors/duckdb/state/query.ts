import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { QueryAnswer, QueryBounds, StateStore } from '../../../src/contracts/index.js';
import { lacksMemory, StageError } from '../../../src/errors.js';
import { SerialQueue } from '../../../src/runtime/serial.js';
import { type DuckDBConnection, DuckDBInstance } from '../client.js';
import { reason, releaseResults, scalar } from '../database.js';
import { readFrame } from '../frame.js';
import type { Connecting } from '../histories.js';
import { keepInterrupting } from '../interrupt.js';
import type { Parts } from '../parts.js';
import type { Semantics } from '../schema.js';
import { viewsOf } from './views.js';

/** Bounds of the database in which queries run: its memory at most, and what it may write beside it. */
const mostMemoryBytes = 2 ** 26;
const largestSpill = '1GiB';
/** Bytes of an answer as JSON. */
const largestAnswer = 2 ** 24;

/** DuckDB's number of a SELECT among the types of statements. */
const selectStatement = 1;

/**
 * Queries of people. A query runs in a database of its own, to which the views that it names are copied as they are at
 * one moment: there it reaches neither other tables nor files nor settings, and takes no memory from the state; its own
 * is half of `stateBytes`, the state's limit, at most.
 */
export function openQueries(
  database: Connecting,
  semantics: Semantics,
  parts: Parts,
  spills: string,
  stateBytes = Number.POSITIVE_INFINITY,
): Pick<StateStore, 'query'> {
  const queue = new SerialQueue();
  const memoryBytes = Math.min(mostMemoryBytes, stateBytes / 2);
  return {
    query: (sql, bounds, signal) =>
      queue.add(async () => {
        const directory = join(spills, `sql-${randomUUID()}`);
        const scratch = await DuckDBInstance.create(':memory:', {
          memory_limit: `${Math.floor(memoryBytes / 1024)}KiB`,
          threads: '1',
          temp_directory: directory,
          max_temp_directory_size: largestSpill,
          enable_external_access: 'false',
          lock_configuration: 'true',
        });
        const [from, to] = [await database.connect(), await scratch.connect()];
        try {
          return await within([from, to], { ...bounds, memoryBytes }, signal, async () => {
            const views = viewsOf(semantics, await parts.waiting(from), await readFrame(from));
            return answered(from, to, views, sql, bounds);
          });
        } finally {
          from.closeSync();
          to.closeSync();
          scratch.closeSync();
          await releaseResults();
          rmSync(directory, { recursive: true, force: true });
        }
      }),
  };
}

/** Runs `body`, and interrupts its connections when the time is over or nobody waits any more. */
async function within<T>(
  connections: readonly DuckDBConnection[],
  { timeoutMs, memoryBytes }: QueryBounds & { readonly memoryBytes: number },
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  let why: string | undefined;
  let end: (() => void) | undefined;
  const stop = (text: string): void => {
    why ??= text;
    end ??= keepInterrupting(connections);
  };
  const timer = setTimeout(stop, timeoutMs, `it took longer than ${timeoutMs} ms`);
  const onAbort = (): void => stop('it was stopped');
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await body();
  } catch (error) {
    if (why) throw new StageError('INTERRUPTED', `the query was cut off: ${why}`);
    if (error instanceof StageError) throw error;
    if (lacksMemory(error))
      throw new StageError(
        'USAGE',
        `the query was refused: it takes more than the ${Math.floor(memoryBytes / 2 ** 20)}MiB there are for it`,
      );
    throw new StageError('USAGE', `the query was refused: ${reason(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
    end?.();
    signal?.removeEventListener('abort', onAbort);
  }
}

async function answered(
  from: DuckDBConnection,
  to: DuckDBConnection,
  views: Readonly<Record<string, string>>,
  given: string,
  { rows: limit }: QueryBounds,
): Promise<QueryAnswer> {
  const sql = given.trim().replace(/;$/, '');
  if (sql === '') throw refused('nothing');
  const statements = await to.extractStatements(sql);
  if (statements.count !== 1) throw refused(`${statements.count} statements`);
  await from.run('BEGIN TRANSACTION READ ONLY');
  try {
    for (const [name, view] of Object.entries(views)) {
      // A word that is no table only makes it copy more.
      if (new RegExp(`\\b${name}\\b`, 'i').test(sql)) await copyRows(from, to, name, view);
      // An empty one beside the named ones: SHOW and the catalogue list them all.
      else await describe(from, to, name, view);
    }
  } finally {
    await from.run('ROLLBACK').catch(() => undefined);
  }
  const statement = await statements.prepare(0);
  const isSelect = statement.statementType === selectStatement;
  statement.destroySync();
  if (!isSelect) throw refused('a statement of another kind');
  const reader = await to.runAndReadAll(`SELECT * FROM (\n${sql}\n) LIMIT ${limit + 1}`);
  const rows = reader.getRowsJson();
  if (JSON.stringify(rows).length > largestAnswer)
    throw new StageError(
      'USAGE',
      `the query was refused: its answer is larger than ${largestAnswer >> 20} MiB`,
    );
  return { columns: reader.columnNames(), rows: rows.slice(0, limit), truncated: rows.length > limit };
}

const refused = (found: string): StageError => new StageError('USAGE', `expected one SELECT, found ${found}`);

/** Makes a table with the columns of a query. */
async function describe(
  from: DuckDBConnection,
  to: DuckDBConnection,
  name: string,
  view: string,
): Promise<void> {
  const statement = await from.prepare(view);
  const columns = Array.from(
    { length: statement.columnCount },
    (_, c) => `"${statement.columnName(c)}" ${statement.columnType(c)}`,
  );
  statement.destroySync();
  await to.run(`CREATE TABLE ${name} (${columns.join()})`);
}

/** Copies the rows of a query of one database into a table of another. */
async function copyRows(
  from: DuckDBConnection,
  to: DuckDBConnection,
  name: string,
  view: string,
): Promise<void> {
  await describe(from, to, name, view);
  const expected = Number(await scalar(from, `SELECT count(*) FROM (${view})`));
  const result = await from.stream(view);
  const appender = await to.createAppender(name);
  let copied = 0;
  try {
    for (
      let chunk = await result.fetchChunk();
      chunk && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      appender.appendDataChunk(chunk);
      copied += chunk.rowCount;
    }
  } finally {
    appender.closeSync();
  }
  // The client reports a result that fails on its way like one that has come to its end.
  if (copied !== expected)
    throw new StageError('INTERNAL', `${name}: ${copied} of ${expected} rows were read`);
}
