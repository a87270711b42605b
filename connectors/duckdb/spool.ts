import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tailRows } from './border.js';
import type { DuckDBConnection } from './client.js';
import { literal, type RowChunk, scalar, streamRows } from './database.js';
import { EventsFile, FileEvents } from './file-events.js';
import { columnName, type Judgement, type Layout, type Rules, sureColumn } from './judge.js';
import { fileRows } from './parts.js';
import { TakenRows } from './taken.js';

/** Rows that come next, whether or not all of them were looked at. */
export interface Batch {
  readonly count: number;
  /** The last of them: all, or those that a border has to know. */
  readonly tail: TakenRows;
  /** Those of `rows` that SQL was not sure of, and which of the `count` rows they are. */
  readonly unsure: {
    readonly rows: TakenRows;
    readonly some: readonly number[];
    readonly places: readonly number[];
  };
  /** The others as events; `first` is the sequence number of the first row. */
  events?(first: number): FileEvents;
}

/** What a query that was judged gave, in a file: the inbox takes its events from there. */
export class Spool {
  readonly file: EventsFile;
  readonly layout: Layout;
  readonly rows: number;
  readonly #connection: DuckDBConnection;
  readonly #many: number;
  /** Rows that have to be looked at when the file is taken at once. */
  readonly #looked: number;

  private constructor(
    connection: DuckDBConnection,
    file: EventsFile,
    layout: Layout,
    [rows, looked, many]: readonly [number, number, number],
  ) {
    this.#many = many;
    this.#connection = connection;
    this.file = file;
    this.layout = layout;
    this.rows = rows;
    this.#looked = looked;
  }

  /** Writes the file, on all threads of DuckDB. */
  static async write(
    connection: DuckDBConnection,
    { sql, layout }: Judgement,
    values: readonly string[],
    { directory, many }: Rules,
  ): Promise<Spool> {
    mkdirSync(directory, { recursive: true });
    const file = new EventsFile(join(directory, `${randomUUID()}.parquet`));
    try {
      const copy = `COPY (${sql}) TO ${literal(file.path)} (FORMAT parquet, COMPRESSION uncompressed)`;
      const rows = Number(await scalar(connection, copy, values));
      const looked = rows > many ? await lookedAt(connection, file.path, layout, rows) : rows;
      return new Spool(connection, file, layout, [rows, looked, many]);
    } catch (error) {
      file.release();
      throw error;
    }
  }

  stream(): AsyncGenerator<RowChunk> {
    return this.#select('true', []);
  }

  #select(where: string, more: readonly string[]): AsyncGenerator<RowChunk> {
    const columns = [...Array.from({ length: this.layout.width }, (_, c) => columnName(c)), ...more];
    const sql = `SELECT ${columns.join()} FROM ${fileRows(this.file.path)} WHERE ${where}`;
    return streamRows(this.#connection, sql, columns.length);
  }

  async #take(where: string, more: readonly string[] = []): Promise<TakenRows> {
    const taken = new TakenRows(this.layout);
    for await (const { chunk, rows } of this.#select(where, more)) taken.add(chunk, 0, rows);
    return taken;
  }

  /** Whether the rows from `at` on are many, and few of them, `most`, have to be looked at. */
  isLarge(at: number, most: number): boolean {
    return this.rows - at > this.#many && this.#looked <= most;
  }

  /** Rows from `at` on that were looked at. */
  slice(at: number, rows: TakenRows): Batch {
    const some = rows.unsure();
    const to = at + rows.count;
    return {
      count: rows.count,
      tail: rows,
      unsure: { rows, some, places: some },
      events: first => new FileEvents(this.file, at, to, first, rows.count - some.length, false),
    };
  }

  /** All rows from `at` on. */
  async rest(at: number): Promise<Batch> {
    const behind = `file_row_number >= ${at}`;
    const last = isLast(this.file.path, this.layout, this.rows);
    const tail = await this.#take(`${behind} AND ${last}`);
    const unsure = await this.#take(`${behind} AND NOT ${sureColumn}`, ['file_row_number']);
    const places = unsure.column(this.layout.width).map(number => Number(number) - at);
    const count = this.rows - at;
    return {
      count,
      tail,
      unsure: { rows: unsure, some: places.map((_, k) => k), places },
      events: first => new FileEvents(this.file, at, this.rows, first, count - places.length, true),
    };
  }
}

/** Which rows a border has to know: the last ones, or those that have the cursor of the last one. */
function isLast(path: string, { cursor }: Layout, rows: number): string {
  if (cursor === undefined) return `file_row_number >= ${rows - tailRows}`;
  const name = columnName(cursor);
  return `${name} = (SELECT ${name} FROM ${fileRows(path)} WHERE file_row_number = ${rows - 1})`;
}

/** How many rows of a file have to be looked at. */
async function lookedAt(
  connection: DuckDBConnection,
  path: string,
  layout: Layout,
  rows: number,
): Promise<number> {
  const where = `NOT ${sureColumn} OR ${isLast(path, layout, rows)}`;
  return Number(await scalar(connection, `SELECT count(*) FROM ${fileRows(path)} WHERE ${where}`));
}
