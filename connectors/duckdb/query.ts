import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all, type RowChunk, scalar, streamRows } from './database.js';
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
import { type Opening, openWarehouse } from './warehouse.js';

/** A column of the query. */
export interface Column {
  readonly name: string;
  readonly type: string;
}

/** Cursors from `from` on, or `behind` it, up to and with `to`; as text. Without one there is no bound. */
export interface CursorRange {
  readonly from?: string | undefined;
  readonly behind?: boolean;
  readonly to?: string | undefined;
}

/** Rows whose cursors show how all are spread. */
const sampleRows = 8192;

/** Rows as columns of their fields, and the text of their cursors. */
export class TakenRows {
  readonly values: ReadonlyMap<Field, unknown[]>;
  readonly cursors: string[] = [];
  count = 0;

  constructor(readonly columns: readonly Field[]) {
    this.values = new Map(columns.map(field => [field, []]));
  }

  row(k: number): unknown[] {
    return this.columns.map(field => this.values.get(field)![k]);
  }
}

/** Says of a row whether it is left out: its fields in the order of the columns, and its cursor. */
export type PassesOver = (row: () => unknown[], cursor: string | undefined) => boolean;

interface Described {
  readonly expressions: ReadonlyMap<Field, string>;
  /** Types of the columns that fields have. */
  readonly types: ReadonlyMap<Field, string>;
  readonly names: readonly string[];
  readonly cursor: Column | undefined;
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
    opening: Omit<Opening, 'mode'>,
  ): Promise<Query> {
    const { connection, release } = await openWarehouse(options.database, { ...opening, mode: 'read' });
    try {
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

  /** The values of a field in rows of this query, as the stage reads them; `undefined` if it has no such column. */
  converted(field: Field, values: TakenRows['values']): readonly unknown[] | undefined {
    const read = reader(field, this.#described.types.get(field) ?? '');
    const given = values.get(field);
    return read ? given?.map(read) : given;
  }

  /** How many rows lie at and behind the cursor `from`. */
  async countFrom(from: string | undefined): Promise<number> {
    const { where, values } = this.#between({ from });
    return Number(await scalar(this.connection, `SELECT count(*) FROM ${this.from} WHERE ${where}`, values));
  }

  /** A cursor behind `from` up to which some `rows` of the `total` rows lie, as text; told by a sample of them. */
  async cursorAfter(range: CursorRange, rows: number, total: number): Promise<string | undefined> {
    const { where, values } = this.#between(range);
    const all = `SELECT ${this.#order} AS place FROM ${this.from} WHERE ${where}`;
    const sample = `SELECT place FROM (${all}) USING SAMPLE reservoir(${sampleRows} ROWS)`;
    const share = Math.min(1, rows / Math.max(1, total));
    const sql = `SELECT quantile_disc(place, ${share})::VARCHAR FROM (${sample})`;
    const found = await scalar(this.connection, sql, values);
    return found === null || found === undefined ? undefined : String(found);
  }

  /** The column of the cursor. */
  get #order(): string {
    return quoted(this.cursor!.name);
  }

  /** A range of cursors as a condition, and its values. */
  #between({ from, behind = false, to }: CursorRange) {
    const { type } = this.cursor!;
    const lower = from === undefined ? 'IS NOT NULL' : `${behind ? '>' : '>='} ?::${type}`;
    const upper = to === undefined ? '' : ` AND ${this.#order} <= ?::${type}`;
    const values = [from, to].filter(value => value !== undefined);
    return { where: `${this.#order} ${lower}${upper}`, values };
  }

  /** Begins to give the rows of a range of cursors, without the first `offset`. */
  async select(range: CursorRange, offset: number): Promise<void> {
    await this.#result?.return(undefined);
    this.#chunk = undefined;
    const { expressions, names } = this.#described;
    const select = [...expressions].map(([field, sql]) => `${sql} AS ${quoted(field)}`).join(', ');
    const width = this.columns.length;
    if (!this.cursor) {
      const sql = `SELECT ${select} FROM ${this.from} OFFSET ${offset}`;
      this.#result = streamRows(this.connection, sql, width);
      return;
    }
    const { name } = this.cursor;
    const order = [this.#order, ...names.filter(n => n !== name).map(quoted)].join(', ');
    const { where, values } = this.#between(range);
    this.#result = streamRows(
      this.connection,
      `SELECT ${select}, ${this.#order}::VARCHAR FROM ${this.from} WHERE ${where} ORDER BY ${order} OFFSET ${offset}`,
      width + 1,
      values,
    );
  }

  /** Takes up to `limit` rows; fewer only at the end. */
  async take(limit: number, passesOver?: PassesOver): Promise<TakenRows> {
    const taken = new TakenRows(this.columns);
    const lists = this.columns.map(field => taken.values.get(field)!);
    for (;;) {
      const current = taken.count < limit ? await this.#nextChunk() : undefined;
      if (!current) return taken;
      const to = this.#row + Math.min(current.rows - this.#row, limit - taken.count);
      const vectors = this.columns.map((_, c) => current.chunk.getColumnVector(c));
      const order = this.cursor && current.chunk.getColumnVector(this.columns.length);
      for (let r = this.#row; r < to; r++) {
        const at = order?.getItem(r) as string | undefined;
        if (passesOver?.(() => vectors.map(v => v.getItem(r)), at)) continue;
        vectors.forEach((vector, c) => {
          lists[c]!.push(vector.getItem(r));
        });
        if (at !== undefined) taken.cursors.push(at);
        taken.count++;
      }
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
