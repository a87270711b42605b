import type { RecordBatch, TimeRules } from '../../src/contracts/index.js';
import { milliseconds } from '../../src/stages/duration.js';
import type { DuckDBConnection } from './client.js';
import { type RowChunk, scalar, streamRows } from './database.js';
import { type Column, type Described, describe } from './described.js';
import { judged, type Layout, plainLayout, type Rules } from './judge.js';
import { type Field, moment, original, quoted, reader, subquery } from './project.js';
import { type Batch, Spool } from './spool.js';
import { TakenRows } from './taken.js';
import { type Opening, openWarehouse } from './warehouse.js';

/** Cursors from `from` on, or `behind` it, up to and with `to`; as text. Without one there is no bound. */
export interface CursorRange {
  readonly from?: string | undefined;
  readonly behind?: boolean;
  readonly to?: string | undefined;
}

/** Rows whose cursors show how all are spread. */
const sampleRows = 8192;

/** Says of a row, its fields in the order of the columns, whether it is left out. */
export type PassesOver = (row: readonly unknown[]) => boolean;

/** How a query is opened. */
export interface QueryOpening extends Omit<Opening, 'mode'> {
  /** Columns by which rows with the same cursor are ordered. */
  readonly order?: readonly string[];
  /** What is read in place of all rows of the query, which is given as it stands in FROM. */
  readonly narrow?: (connection: DuckDBConnection, from: string) => Promise<string>;
}

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
  /** Columns by which rows with the same cursor are ordered, before all others. */
  readonly #ties: readonly string[];
  #layout: Layout | undefined;
  /** The file in which the rows are, if SQL makes events of them. */
  #spool: Spool | undefined;
  /** How many rows were given. */
  #given = 0;
  #result: AsyncGenerator<RowChunk> | undefined;
  #chunk: RowChunk | undefined;
  #row = 0;

  private constructor(
    connection: DuckDBConnection,
    release: () => Promise<void>,
    from: string,
    described: Described,
    order: readonly string[],
  ) {
    this.#ties = order;
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
    { order = [], narrow, ...opening }: QueryOpening,
  ): Promise<Query> {
    const { connection, release } = await openWarehouse(options.database, { ...opening, mode: 'read' });
    try {
      await connection.run("SET TimeZone = 'UTC'");
      const all = subquery(options.query);
      const from = (await narrow?.(connection, all)) ?? all;
      const described = await describe(connection, from, options.cursor, where);
      return new Query(connection, release, from, described, order);
    } catch (error) {
      await release();
      throw error;
    }
  }

  /** Whether times come as dates, that is, as epoch milliseconds. */
  get hasMoments(): boolean {
    return moment.test(this.#described.types.get('ts') ?? '');
  }

  /** The rows of a batch that are not events yet as records; `first` is the sequence number of its first row. */
  records({ unsure: { rows, some, places } }: Batch, first: number, times: TimeRules): RecordBatch {
    const cursor = this.cursor?.name;
    const field = (name: Field) => {
      const read = reader(name, this.#described.types.get(name) ?? '');
      const given = rows.values(name, some);
      return read ? given?.map(read) : given;
    };
    return {
      length: some.length,
      partition: 'rows',
      sequence: Float64Array.from(places, k => first + k),
      user: field('user')!,
      item: field('item')!,
      weight: field('weight'),
      op: field('op'),
      ts: field('ts'),
      id: field('id'),
      times,
      raw: k => original(this.columns, rows.row(some[k]!), cursor, cursor && rows.cursor(some[k]!)),
    };
  }

  /** How many rows a range has. */
  async countIn(range: CursorRange): Promise<number> {
    const { where, values } = this.#between(range);
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

  /** The cursor that lies a time, or a number, before another; both as text. */
  async cursorBefore(cursor: string, back: string | number): Promise<string> {
    const { type } = this.cursor!;
    const less = typeof back === 'number' ? String(back) : `to_milliseconds(${milliseconds(back)})`;
    return String(await scalar(this.connection, `SELECT (?::${type} - ${less})::${type}::VARCHAR`, [cursor]));
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

  /**
   * Begins to give the rows of a range of cursors, without the first `offset`. With `rules`, SQL makes events of those
   * that it is sure of, and writes them into a file.
   */
  async select(range: CursorRange, offset: number, rules?: Rules): Promise<void> {
    await this.#end();
    const { expressions, names, types } = this.#described;
    const fields = [...expressions].map(([field, sql]) => `${sql} AS ${quoted(field)}`).join(', ');
    // An offset has one thread read all.
    const behind = offset > 0 ? ` OFFSET ${offset}` : '';
    let sql = `SELECT ${fields} FROM ${this.from}${behind}`;
    let given: readonly string[] = [];
    if (this.cursor) {
      const { name } = this.cursor;
      const others = names.filter(n => n !== name && !this.#ties.includes(n));
      const order = [this.#order, ...[...this.#ties, ...others].map(quoted)].join(', ');
      const { where, values } = this.#between(range);
      given = values;
      sql = `SELECT ${fields}, ${this.#order}::VARCHAR AS ${cursorName} FROM ${this.from} WHERE ${where} ORDER BY ${order}${behind}`;
    }
    const judgement = rules && judged(sql, this.columns, types, this.cursor && cursorName, rules);
    this.#layout = judgement?.layout ?? plainLayout(this.columns, this.cursor !== undefined);
    if (judgement) this.#spool = await Spool.write(this.connection, judgement, given, rules);
    this.#result = this.#spool?.stream() ?? streamRows(this.connection, sql, this.#layout.width, given);
  }

  /** How many rows are known to come. */
  get ahead(): number {
    return this.#spool ? this.#spool.rows - this.#given : 0;
  }

  /** The next rows: some `limit`, or all where few of them have to be looked at. */
  async next(limit: number, passesOver?: PassesOver): Promise<Batch> {
    const [spool, at] = [this.#spool, this.#given];
    if (spool?.isLarge(at, limit)) {
      await this.#result?.return(undefined);
      this.#chunk = undefined;
      this.#given = spool.rows;
      return spool.rest(at);
    }
    const rows = await this.take(limit, passesOver);
    if (spool) return spool.slice(at, rows);
    const some = rows.unsure();
    return { count: rows.count, tail: rows, unsure: { rows, some, places: some } };
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
      this.#given += to - this.#row;
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

  /** Ends the rows that were selected. */
  async #end(): Promise<void> {
    await this.#result?.return(undefined);
    this.#result = undefined;
    this.#chunk = undefined;
    this.#given = 0;
    this.#spool?.file.release();
    this.#spool = undefined;
  }

  async close(): Promise<void> {
    await this.#end().catch(() => undefined);
    await this.#release();
  }
}
