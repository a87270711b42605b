import { resolve } from 'node:path';
import {
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBResult,
} from '@duckdb/node-api';
import { z } from 'zod';
import type { Position, Read, RecordBatch, Source } from '../../src/connector.js';
import { StageError } from '../../src/errors.js';
import { literal, reason } from './database.js';
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
  batchSize: z.int().min(1).max(1_000_000).default(50_000).describe('rows of one transaction'),
});
export type DuckdbSourceOptions = z.output<typeof duckdbSourceOptions>;

const fields = ['user', 'item', 'weight', 'op', 'ts', 'id'] as const;
type Field = (typeof fields)[number];

/** Where a read ended: the cursor's value as text, and how many rows with that value were taken. */
interface Token {
  readonly cursor: string;
  readonly taken: number;
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Expressions that bring each field to a type the stage reads fast: text, double, epoch milliseconds. */
function project(types: ReadonlyMap<string, string>, names: ReadonlyMap<Field, string>): string {
  return fields
    .filter(f => names.has(f))
    .map(f => {
      const column = quoted(names.get(f)!);
      const type = types.get(names.get(f)!)!;
      if (f === 'ts' && /TIMESTAMP|DATE/.test(type)) return `epoch_ms(${column}::TIMESTAMP)::DOUBLE AS ts`;
      if (f === 'weight' && /DECIMAL|INT|FLOAT|DOUBLE/.test(type)) return `${column}::DOUBLE AS weight`;
      if (f === 'ts' && /INT|DOUBLE|FLOAT|DECIMAL/.test(type)) return `${column}::DOUBLE AS ts`;
      return `${column}::VARCHAR AS ${quoted(f)}`;
    })
    .join(', ');
}

/**
 * A source over a query. Its one partition is `rows`; a record's sequence is its ordinal among all rows read
 * so far. With a cursor, reading resumes at its last value, in a total order over all columns, behind the
 * rows of that value that were taken: rows that appear later with an older cursor are not seen.
 */
export function createDuckdbSource(options: DuckdbSourceOptions, baseDirectory = '.'): Source {
  const { name, query, cursor, batchSize } = options;
  const where = `source ${name}`;
  let release: (() => Promise<void>) | undefined;
  let connection: DuckDBConnection | undefined;
  let result: DuckDBResult | undefined;
  let columns: readonly Field[] = [];
  let chunk: DuckDBDataChunk | undefined;
  let chunkRow = 0;
  let sequence = -1;
  let token: Token | undefined;

  const unreadable = (error: unknown): StageError =>
    error instanceof StageError
      ? error
      : new StageError('SOURCE_UNREADABLE', `${where}: ${reason(error)}`, { cause: error });

  async function open(signal?: AbortSignal): Promise<void> {
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
    const types = new Map<string, string>();
    for (const row of (await connection.runAndReadAll(`DESCRIBE (${query})`)).getRowObjectsJS()) {
      types.set(String(row.column_name), String(row.column_type));
    }
    const names = new Map(
      fields.flatMap(f => [...types.keys()].filter(t => t.toLowerCase() === f).map(t => [f, t] as const)),
    );
    for (const needed of ['user', 'item'] as const) {
      if (names.has(needed)) continue;
      const found = [...types.keys()].join(', ');
      throw new StageError(
        'SOURCE_UNREADABLE',
        `${where}: expected the query to give a column ${needed}, found ${found}`,
      );
    }
    if (cursor && !types.has(cursor)) {
      const found = [...types.keys()].join(', ');
      throw new StageError(
        'SOURCE_UNREADABLE',
        `${where}: expected a cursor column ${cursor}, found ${found}`,
      );
    }
    columns = fields.filter(f => names.has(f));
    const select = `SELECT ${project(types, names)}${cursor ? `, ${quoted(cursor)}::VARCHAR` : ''} FROM (${query})`;
    if (cursor) {
      const from = token ? `WHERE ${quoted(cursor)} >= ${literal(token.cursor)}::${types.get(cursor)}` : '';
      const order = [cursor, ...[...types.keys()].filter(c => c !== cursor)].map(quoted).join(', ');
      result = await connection.stream(`${select} ${from} ORDER BY ${order} OFFSET ${token?.taken ?? 0}`);
    } else {
      result = await connection.stream(`${select} OFFSET ${sequence + 1}`);
    }
  }

  /** The next chunk with rows left, or `undefined` at the end. */
  async function nextChunk(): Promise<DuckDBDataChunk | undefined> {
    if (chunk && chunkRow < chunk.rowCount) return chunk;
    const next = (await result!.fetchChunk()) ?? undefined;
    chunkRow = 0;
    chunk = next && next.rowCount > 0 ? next : undefined;
    return chunk;
  }

  async function closeQuery(): Promise<void> {
    result = undefined;
    chunk = undefined;
    const done = release;
    release = undefined;
    connection = undefined;
    await done?.();
  }

  return {
    name,
    async connect(positions: readonly Position[]) {
      const at = positions.find(p => p.partition === 'rows');
      sequence = at?.sequence ?? -1;
      token = at?.token === undefined ? undefined : (JSON.parse(at.token) as Token);
    },

    async read(signal?: AbortSignal): Promise<Read | undefined> {
      const values = new Map<Field, unknown[]>(fields.map(f => [f, []]));
      let count = 0;
      let { cursor: last, taken } = token ?? { cursor: undefined, taken: 0 };
      try {
        if (!result) await open(signal);
        while (count < batchSize) {
          const current = await nextChunk();
          if (!current) break;
          const take = Math.min(current.rowCount - chunkRow, batchSize - count);
          columns.forEach((f, c) => {
            const vector = current.getColumnVector(c);
            const into = values.get(f)!;
            for (let r = 0; r < take; r++) into.push(vector.getItem(chunkRow + r));
          });
          if (cursor) {
            const vector = current.getColumnVector(columns.length);
            for (let r = 0; r < take; r++) {
              const value = vector.getItem(chunkRow + r) as string | null;
              if (value === null)
                throw new StageError('SOURCE_UNREADABLE', `${where}: row with a NULL cursor ${cursor}`);
              if (value === last) taken++;
              else [last, taken] = [value, 1];
            }
          }
          chunkRow += take;
          count += take;
        }
        if (count === 0) {
          await closeQuery();
          return undefined;
        }
      } catch (error) {
        await closeQuery();
        throw unreadable(error);
      }
      const first = sequence + 1;
      sequence += count;
      token = last === undefined ? undefined : { cursor: last, taken };
      const field = (f: Field) => (columns.includes(f) ? values.get(f) : undefined);
      const records: RecordBatch = {
        length: count,
        partition: 'rows',
        sequence: Float64Array.from({ length: count }, (_, k) => first + k),
        user: values.get('user')!,
        item: values.get('item')!,
        weight: field('weight'),
        op: field('op'),
        ts: field('ts'),
        id: field('id'),
        raw: k => JSON.stringify(Object.fromEntries(columns.map(f => [f, values.get(f)![k]]))),
      };
      const position = { partition: 'rows', sequence, token: token && JSON.stringify(token) };
      return { records, position, ack: async () => undefined };
    },

    close: closeQuery,
  };
}
