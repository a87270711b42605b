import { resolve } from 'node:path';
import { StageError } from '../../src/errors.js';
import { type DuckDBConnection, DuckDBInstance } from './client.js';
import { all, literal, type RowChunk, streamRows } from './database.js';
import { judged, type Layout, plainLayout, type Rules } from './judge.js';
import {
  type Field,
  fields,
  moment,
  nested,
  project,
  quoted,
  reader,
  subquery,
  unmappedDelete,
} from './project.js';
import { TakenRows } from './taken.js';
import { attachWarehouse } from './warehouse.js';

/** A column of the query. */
export interface Column {
  readonly name: string;
  readonly type: string;
}

/** Says of a row, its fields in the order of the columns, whether it is left out. */
export type PassesOver = (row: readonly unknown[]) => boolean;

interface Described {
  readonly expressions: ReadonlyMap<Field, string>;
  /** Types of the columns that fields have. */
  readonly types: ReadonlyMap<Field, string>;
  readonly names: readonly string[];
  readonly cursor: Column | undefined;
}

async function attach(
  database: string | undefined,
  baseDirectory: string,
  signal?: AbortSignal,
): Promise<{ readonly connection: DuckDBConnection; readonly release: () => Promise<void> }> {
  if (database !== undefined) return attachWarehouse(resolve(baseDirectory, database), 'read', signal);
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  return {
    connection,
    async release() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

/** Finds the columns of a query: the expressions of its fields, its cursor, and all names. */
async function describe(
  connection: DuckDBConnection,
  from: string,
  wantedCursor: string | undefined,
  where: string,
): Promise<Described> {
  const rows = await all(connection, `DESCRIBE ${from}`);
  const types = new Map(rows.map(r => [String(r.column_name), String(r.column_type)]));
  const names = [...types.keys()];
  const unreadable = (what: string) => new StageError('SOURCE_UNREADABLE', `${where}: ${what}`);
  const find = (wanted: string) =>
    names.find(t => t === wanted) ?? names.find(t => t.toLowerCase() === wanted.toLowerCase());
  const missing = (what: string) =>
    unreadable(`expected the query to give a ${what}, found ${names.join(', ')}`);
  const expressions = new Map<Field, string>();
  const typesOfFields = new Map<Field, string>();
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
      throw unreadable(`column ${field}: expected one value in a row, found ${type}; unnest it in the query`);
    }
    expressions.set(field, project(field, column, type));
    typesOfFields.set(field, type);
  }
  const name = wantedCursor === undefined ? undefined : find(wantedCursor);
  if (wantedCursor !== undefined && name === undefined) throw missing(`cursor column ${wantedCursor}`);
  const cursor = name === undefined ? undefined : { name, type: types.get(name)! };
  return { expressions, types: typesOfFields, names, cursor };
}

/** Which rows a query gives, and how. */
interface Selection {
  readonly from?: string | undefined;
  readonly rows?: keyof typeof comparison;
  readonly offset?: number;
  readonly rules?: Rules | undefined;
}
const comparison = { from: '>=', at: '=', behind: '>' } as const;
const cursorName = '"cursor of the row"';

/** Takes the rows [from, to) of a chunk that are not passed over. */
function takeOthers(
  taken: TakenRows,
  { chunk }: RowChunk,
  from: number,
  to: number,
  passesOver: PassesOver,
): void {
  const vectors = Array.from(taken.layout.fields.values(), column => chunk.getColumnVector(column));
  let start = from;
  for (let r = from; r < to; r++) {
    if (!passesOver(vectors.map(v => v.getItem(r)))) continue;
    taken.add(chunk, start, r);
    start = r + 1;
  }
  taken.add(chunk, start, to);
}

/**
 * A query that is open, with its database. `#result` streams its rows from where `select` said; the next row is number
 * `#row` of `#chunk`. Nothing else uses the connection while rows are left.
 */
export class Query {
  readonly connection: DuckDBConnection;
  readonly columns: readonly Field[];
  readonly cursor: Column | undefined;
  readonly from: string;
  readonly #release: () => Promise<void>;
  readonly #described: Described;
  #layout: Layout | undefined;
  #result: AsyncGenerator<RowChunk> | undefined;
  #chunk: RowChunk | undefined;
  #row = 0;

  private constructor(
    connection: DuckDBConnection,
    release: () => Promise<void>,
    from: string,
    described: Described,
  ) {
    this.connection = connection;
    this.#release = release;
    this.from = from;
    this.#described = described;
    this.columns = [...described.expressions.keys()];
    this.cursor = described.cursor;
  }

  /** Opens the database and looks at the columns; `SOURCE_UNREADABLE` if one is missing. */
  static async open(
    options: {
      readonly database?: string | undefined;
      readonly query: string;
      readonly cursor?: string | undefined;
    },
    where: string,
    baseDirectory: string,
    signal?: AbortSignal,
  ): Promise<Query> {
    const { connection, release } = await attach(options.database, baseDirectory, signal);
    try {
      await connection.run(`SET file_search_path = ${literal(resolve(baseDirectory))}`);
      await connection.run("SET TimeZone = 'UTC'");
      const from = subquery(options.query);
      return new Query(connection, release, from, await describe(connection, from, options.cursor, where));
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** Whether times come as dates, that is, as epoch milliseconds. */
  get hasMoments(): boolean {
    return moment.test(this.#described.types.get('ts') ?? '');
  }

  /** A field of some rows, as the stage reads it; `undefined` if the query has no such column. */
  converted(field: Field, taken: TakenRows, rows: readonly number[]): readonly unknown[] | undefined {
    const read = reader(field, this.#described.types.get(field) ?? '');
    const given = taken.values(field, rows);
    return read ? given?.map(read) : given;
  }

  /**
   * Begins to give rows: those at and behind the cursor `from`, or only those `at` or `behind` it, without the first
   * `offset`. With `rules`, SQL makes events of those that it is sure of.
   */
  async select({ from, rows = 'from', offset = 0, rules }: Selection): Promise<void> {
    await this.#result?.return(undefined);
    this.#chunk = undefined;
    const { expressions, names, types } = this.#described;
    const fields = [...expressions].map(([field, sql]) => `${sql} AS ${quoted(field)}`).join(', ');
    const given: string[] = [];
    let sql = `SELECT ${fields} FROM ${this.from} OFFSET ${offset}`;
    if (this.cursor) {
      const { name, type } = this.cursor;
      const column = quoted(name);
      const order = [column, ...names.filter(n => n !== name).map(quoted)].join(', ');
      if (from !== undefined) given.push(from);
      const where = from === undefined ? `${column} IS NOT NULL` : `${column} ${comparison[rows]} ?::${type}`;
      sql = `SELECT ${fields}, ${column}::VARCHAR AS ${cursorName} FROM ${this.from} WHERE ${where} ORDER BY ${order} OFFSET ${offset}`;
    }
    this.#layout = plainLayout(this.columns, this.cursor !== undefined);
    if (rules) {
      const judgement = judged(sql, this.columns, types, this.cursor && cursorName, rules);
      sql = judgement.sql;
      this.#layout = judgement.layout;
    }
    this.#result = streamRows(this.connection, sql, this.#layout.width, given);
  }

  /** Takes up to `limit` rows; fewer only at the end. */
  async take(limit: number, passesOver?: PassesOver): Promise<TakenRows> {
    const taken = new TakenRows(this.#layout!);
    for (;;) {
      const current = taken.count < limit ? await this.#nextChunk() : undefined;
      if (!current) return taken;
      const to = this.#row + Math.min(current.rows - this.#row, limit - taken.count);
      if (passesOver) takeOthers(taken, current, this.#row, to, passesOver);
      else taken.add(current.chunk, this.#row, to);
      this.#row = to;
    }
  }

  /** The chunk with the next row, or `undefined` at the end. */
  async #nextChunk(): Promise<RowChunk | undefined> {
    while (!this.#chunk || this.#row >= this.#chunk.rows) {
      const next = await this.#result!.next();
      if (next.done) return undefined;
      this.#chunk = next.value;
      this.#row = 0;
    }
    return this.#chunk;
  }

  async close(): Promise<void> {
    await this.#result?.return(undefined).catch(() => undefined);
    this.#result = undefined;
    this.#chunk = undefined;
    await this.#release();
  }
}
