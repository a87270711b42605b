import { resolve } from 'node:path';
import { z } from 'zod';
import type { Position, Read, RecordBatch, Source } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { timeOptions } from '../../src/stages/event-time.js';
import { type DuckDBConnection, DuckDBInstance } from './client.js';
import { advance, fingerprint, type Token } from './cursor.js';
import { all, literal, type RowChunk, reason, streamRows } from './database.js';
import {
  type Field,
  fields,
  moment,
  nested,
  original,
  project,
  quoted,
  reader,
  subquery,
  unmappedDelete,
} from './project.js';
import { attachWarehouse } from './warehouse.js';

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
  ...timeOptions,
  batchSize: z.int().min(1).max(1_000_000).default(50_000).describe('rows of one transaction'),
  checkMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe('how often rows that came too late for the cursor are looked for, in milliseconds'),
});
export type DuckdbSourceOptions = z.output<typeof duckdbSourceOptions>;

/**
 * A source over a query. Its one partition is `rows`; a record's sequence is its ordinal among all rows read
 * so far. With a cursor, reading resumes at its last value and leaves out the rows of that value that were
 * taken. Rows that appear later with an older cursor, and rows without a cursor, are not read: they are counted
 * when the source is caught up, and warned of once.
 */
export function createDuckdbSource(options: DuckdbSourceOptions, baseDirectory = '.'): Source {
  const { name, batchSize } = options;
  const where = `source ${name}`;
  const from = subquery(options.query);
  let release: (() => Promise<void>) | undefined;
  let connection: DuckDBConnection | undefined;
  let result: AsyncGenerator<RowChunk> | undefined;
  let columns: readonly Field[] = [];
  let readers: readonly ReturnType<typeof reader>[] = [];
  let unit = options.timeUnit;
  let cursor: { readonly name: string; readonly type: string } | undefined;
  let chunk: RowChunk | undefined;
  let chunkRow = 0;
  let sequence = -1;
  let token: Token | undefined;
  /** Rows at the border that were taken before the query was opened, by fingerprint. */
  let skip = new Map<string, number>();
  let border: string | undefined;
  let checkedAt = Number.NEGATIVE_INFINITY;
  /** What the last check counted: rows without a cursor, or all rows where there is no cursor. */
  let counted = 0;
  let warnings: string[] = [];

  const unreadable = (error: unknown): StageError =>
    error instanceof StageError
      ? error
      : new StageError('SOURCE_UNREADABLE', `${where}: ${reason(error)}`, { cause: error });

  async function attach(signal?: AbortSignal): Promise<DuckDBConnection> {
    if (options.database) {
      ({ connection, release } = await attachWarehouse(
        resolve(baseDirectory, options.database),
        'read',
        signal,
      ));
    } else {
      const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
      connection = await instance.connect();
      release = async () => {
        connection?.closeSync();
        instance.closeSync();
      };
    }
    await connection.run(`SET file_search_path = ${literal(resolve(baseDirectory))}`);
    await connection.run("SET TimeZone = 'UTC'");
    return connection;
  }

  /** Finds the columns of the query: the expressions of its fields, its cursor, and all names. */
  async function describe(db: DuckDBConnection) {
    const rows = await all(db, `DESCRIBE ${from}`);
    const types = new Map(rows.map(r => [String(r.column_name), String(r.column_type)]));
    const find = (wanted: string) =>
      [...types.keys()].find(t => t === wanted) ??
      [...types.keys()].find(t => t.toLowerCase() === wanted.toLowerCase());
    const missing = (what: string) =>
      new StageError(
        'SOURCE_UNREADABLE',
        `${where}: expected the query to give a ${what}, found ${[...types.keys()].join(', ')}`,
      );
    const expressions = new Map<Field, string>();
    const found = new Map<Field, ReturnType<typeof reader>>();
    for (const field of fields) {
      const column = find(field);
      if (column === undefined) {
        if (field === 'user' || field === 'item') throw missing(`column ${field}`);
        const deleted = field === 'op' ? find('__deleted') : undefined;
        if (deleted !== undefined) expressions.set(field, unmappedDelete(deleted));
        continue;
      }
      const type = types.get(column)!;
      if (nested.test(type)) {
        throw new StageError(
          'SOURCE_UNREADABLE',
          `${where}: column ${field}: expected one value in a row, found ${type}; unnest it in the query`,
        );
      }
      expressions.set(field, project(field, column, type));
      found.set(field, reader(field, type));
      if (field === 'ts') unit = moment.test(type) ? 'ms' : options.timeUnit;
    }
    const at = options.cursor === undefined ? undefined : find(options.cursor);
    if (options.cursor !== undefined && at === undefined) throw missing(`cursor column ${options.cursor}`);
    readers = [...expressions.keys()].map(field => found.get(field));
    cursor = at === undefined ? undefined : { name: at, type: types.get(at)! };
    return { expressions, names: [...types.keys()] };
  }

  async function open(signal?: AbortSignal): Promise<void> {
    const db = await attach(signal);
    const { expressions, names } = await describe(db);
    columns = [...expressions.keys()];
    const select = [...expressions].map(([field, sql]) => `${sql} AS ${quoted(field)}`).join(', ');
    skip = new Map();
    border = token?.cursor;
    if (!cursor) {
      result = streamRows(db, `SELECT ${select} FROM ${from} OFFSET ${sequence + 1}`, columns.length);
      return;
    }
    const column = quoted(cursor.name);
    for (const tie of token?.ties ?? []) skip.set(tie, (skip.get(tie) ?? 0) + 1);
    // Too many ties to remember: they are told apart by their place in the order over all columns.
    const offset = token && !token.ties ? token.taken : 0;
    const order = [column, ...names.filter(n => n !== cursor!.name).map(quoted)].join(', ');
    result = streamRows(
      db,
      `SELECT ${select}, ${column}::VARCHAR FROM ${from}
       WHERE ${token ? `${column} >= ?::${cursor.type}` : `${column} IS NOT NULL`} ORDER BY ${order} OFFSET ${offset}`,
      columns.length + 1,
      token ? [token.cursor] : [],
    );
  }

  /** The next chunk with rows left, or `undefined` at the end. */
  async function nextChunk(): Promise<RowChunk | undefined> {
    while (!chunk || chunkRow >= chunk.rows) {
      const next = await result!.next();
      if (next.done) return undefined;
      chunk = next.value;
      chunkRow = 0;
    }
    return chunk;
  }

  async function closeQuery(): Promise<void> {
    await result?.return(undefined).catch(() => undefined);
    result = undefined;
    chunk = undefined;
    const done = release;
    release = undefined;
    connection = undefined;
    await done?.();
  }

  /** Whether a row at the border was taken before; each fingerprint stands for one row. */
  function skipped(tie: string): boolean {
    const left = skip.get(tie) ?? 0;
    if (left > 0) skip.set(tie, left - 1);
    return left > 0;
  }

  /** Rows up to the border that nobody took: what was inserted behind the cursor's back. */
  async function countOverlooked(): Promise<void> {
    if (!connection || Date.now() - checkedAt < options.checkMs) return;
    checkedAt = Date.now();
    if (!cursor) {
      const [row] = await all(connection, `SELECT count(*) AS rows FROM ${from}`);
      const rows = Number(row!.rows);
      if (rows <= sequence && rows !== counted) {
        warnings.push(
          `the query gives ${rows} rows, of which ${sequence + 1} were taken before: without a cursor it must keep its rows and their order`,
        );
      }
      counted = rows;
      return;
    }
    const column = quoted(cursor.name);
    const behind = token ? `count(*) FILTER (${column} <= ?::${cursor.type})` : '0';
    const [row] = await all(
      connection,
      `SELECT ${behind} AS behind, count(*) FILTER (${column} IS NULL) AS nulls FROM ${from}`,
      token ? [token.cursor] : [],
    );
    const [rows, nulls] = [Number(row!.behind), Number(row!.nulls)];
    if (token) {
      if (rows > token.known) {
        warnings.push(
          `${rows - token.known} rows appeared with a ${cursor.name} at or before ${token.cursor}, which was read already: they are not taken; choose a cursor that only grows`,
        );
      }
      token = { ...token, known: rows };
    }
    if (nulls > counted) warnings.push(`${nulls} rows have no ${cursor.name}: they are not taken`);
    counted = nulls;
  }

  return {
    name,
    readsAhead: true,
    async connect(positions: readonly Position[]) {
      const at = positions.find(p => p.partition === 'rows');
      const known = token;
      token = at?.token === undefined ? undefined : (JSON.parse(at.token) as Token);
      // What was warned of since the position was stored stays so.
      if (token && known?.cursor === token.cursor && at?.sequence === sequence)
        token = { ...token, known: known.known };
      sequence = at?.sequence ?? -1;
    },

    async read(signal?: AbortSignal): Promise<Read | undefined> {
      const values = new Map<Field, unknown[]>();
      const cursors: string[] = [];
      let count = 0;
      try {
        if (!result) await open(signal);
        for (const field of columns) values.set(field, []);
        while (count < batchSize) {
          const current = await nextChunk();
          if (!current) break;
          const take = Math.min(current.rows - chunkRow, batchSize - count);
          const vectors = columns.map((_, c) => current.chunk.getColumnVector(c));
          const order = cursor && current.chunk.getColumnVector(columns.length);
          const lists = columns.map(f => values.get(f)!);
          for (let r = chunkRow; r < chunkRow + take; r++) {
            const at = order?.getItem(r) as string | undefined;
            if (skip.size > 0 && at === border) {
              if (skipped(fingerprint(JSON.stringify(vectors.map(v => v.getItem(r)))))) continue;
            }
            vectors.forEach((vector, c) => {
              const x = vector.getItem(r);
              lists[c]!.push(readers[c] ? readers[c](x) : x);
            });
            if (at !== undefined) cursors.push(at);
            count++;
          }
          chunkRow += take;
        }
        if (count === 0) {
          await countOverlooked();
          await closeQuery();
          return undefined;
        }
      } catch (error) {
        await closeQuery();
        throw unreadable(error);
      }
      const row = (k: number) => columns.map(f => values.get(f)![k]);
      const first = sequence + 1;
      sequence += count;
      if (cursor) token = advance(token, cursors, row);
      const column = cursor?.name;
      const records: RecordBatch = {
        length: count,
        partition: 'rows',
        sequence: Float64Array.from({ length: count }, (_, k) => first + k),
        user: values.get('user')!,
        item: values.get('item')!,
        weight: values.get('weight'),
        op: values.get('op'),
        ts: values.get('ts'),
        id: values.get('id'),
        times: { unit, maxAheadMs: options.maxAheadMs },
        raw: k => original(columns, row(k), column, cursors[k]),
      };
      const position = { partition: 'rows', sequence, token: token && JSON.stringify(token) };
      return { batches: [{ records, position }], ack: async () => undefined };
    },

    warnings() {
      const said = warnings;
      warnings = [];
      return said;
    },

    close: closeQuery,
  };
}
