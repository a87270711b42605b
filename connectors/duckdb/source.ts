import { z } from 'zod';
import type { Position, Read, RecordBatch, Source, Taker, TimeRules } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { timeOptions } from '../../src/stages/event-time.js';
import { CursorBorder, PlaceBorder } from './border.js';
import { reason } from './database.js';
import { EventChunks } from './event-chunks.js';
import type { Rules } from './judge.js';
import { fingerprint, markOf, type TakenBefore } from './marks.js';
import { Overlooked } from './overlooked.js';
import { type Field, original } from './project.js';
import { type PassesOver, Query } from './query.js';
import type { TakenRows } from './taken.js';

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
 * A source over a query. Its one partition is `rows`; a record's sequence is its ordinal among all rows read so far.
 * A read resumes behind the border: with a cursor, at its last value, without the rows of that value that were taken;
 * without one, behind the last row taken. Rows are known again by their content. Rows that appear later with an older
 * cursor, and rows without a cursor, are not read: they are counted when the source is caught up, and warned of once.
 *
 * The query is open from the first `read` to the one that finds no more rows; `#sequence` and `#border` stand behind
 * the last row that was given, whether or not it has been stored.
 *
 * For a state that understands them, SQL makes events of the rows; those it is not sure of come as records. Rows among
 * which some are passed over are records too: with a cursor, only those at the border.
 */
class DuckdbSource implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly #options: DuckdbSourceOptions;
  readonly #baseDirectory: string;
  readonly #where: string;
  readonly #overlooked: Overlooked;
  #query: Query | undefined;
  #passesOver: PassesOver | undefined;
  /** Begins the rows behind the border, once those at it are read. */
  #goOn: (() => Promise<void>) | undefined;
  #taker: Taker | undefined;
  #sequence = -1;
  #border: CursorBorder | PlaceBorder;

  constructor(options: DuckdbSourceOptions, baseDirectory: string) {
    this.name = options.name;
    this.#options = options;
    this.#baseDirectory = baseDirectory;
    this.#where = `source ${options.name}`;
    this.#overlooked = new Overlooked(options.checkMs);
    this.#border = options.cursor === undefined ? new PlaceBorder(0) : new CursorBorder();
  }

  decodeFor(taker: Taker): void {
    this.#taker = taker.system === 'duckdb' ? taker : undefined;
  }

  async connect(positions: readonly Position[]): Promise<void> {
    const at = positions.find(p => p.partition === 'rows');
    const sequence = at?.sequence ?? -1;
    if (this.#options.cursor === undefined) {
      this.#border = new PlaceBorder(sequence + 1, at);
    } else {
      const before = (this.#border as CursorBorder).token;
      const border = new CursorBorder(at);
      // What was warned of since the position was stored stays so.
      if (before && before.cursor === border.token?.cursor && this.#sequence === sequence)
        border.account(before.known);
      this.#border = border;
    }
    this.#sequence = sequence;
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    const rows = await this.#take(signal);
    if (!rows) return undefined;
    const first = this.#sequence + 1;
    this.#sequence += rows.count;
    this.#border.advance(rows);
    const unsure = rows.unsure();
    const decoded = rows.layout.sure === undefined ? undefined : new EventChunks(rows, first, unsure.length);
    const records = this.#records(this.#query!, rows, first, unsure);
    const position = { partition: 'rows', sequence: this.#sequence, ...this.#border.resume() };
    return { batches: [{ records, decoded, position }], ack: async () => undefined };
  }

  /** Some of the rows as records. */
  #records(query: Query, rows: TakenRows, first: number, some: readonly number[]): RecordBatch {
    const cursor = query.cursor?.name;
    const field = (name: Field) => query.converted(name, rows, some);
    return {
      length: some.length,
      partition: 'rows',
      sequence: Float64Array.from(some, k => first + k),
      user: field('user')!,
      item: field('item')!,
      weight: field('weight'),
      op: field('op'),
      ts: field('ts'),
      id: field('id'),
      times: this.#times(query),
      raw: k => original(query.columns, rows.row(some[k]!), cursor, cursor && rows.cursor(some[k]!)),
    };
  }

  #times(query: Query): TimeRules {
    const { timeUnit, maxAheadMs } = this.#options;
    return { unit: query.hasMoments ? 'ms' : timeUnit, maxAheadMs };
  }

  /** By what SQL makes events, if it does. */
  #rules(query: Query): Rules | undefined {
    return this.#taker && { weights: this.#taker.weights, times: this.#times(query), now: Date.now() };
  }

  /** The next rows; at the end the query is closed and there are none. */
  async #take(signal?: AbortSignal): Promise<TakenRows | undefined> {
    try {
      const query = this.#query ?? (await this.#open(signal));
      let rows = await query.take(this.#options.batchSize, this.#passesOver);
      if (rows.count === 0 && this.#goOn) {
        await this.#goOn();
        rows = await query.take(this.#options.batchSize);
      }
      if (rows.count > 0) return rows;
      if (this.#overlooked.due) await this.#countOverlooked(query);
      await this.close();
      return undefined;
    } catch (error) {
      await this.close();
      if (error instanceof StageError) throw error;
      throw new StageError('SOURCE_UNREADABLE', `${this.#where}: ${reason(error)}`, { cause: error });
    }
  }

  async #open(signal?: AbortSignal): Promise<Query> {
    const query = await Query.open(this.#options, this.#where, this.#baseDirectory, signal);
    this.#query = query;
    this.#passesOver = undefined;
    this.#goOn = undefined;
    if (this.#border instanceof CursorBorder) await this.#openAtCursor(query, this.#border);
    else await this.#openAtPlace(query, this.#border);
    return query;
  }

  async #openAtCursor(query: Query, border: CursorBorder): Promise<void> {
    const from = border.token?.cursor;
    const rules = this.#rules(query);
    const before = border.takenBefore();
    if (before.size === 0) return query.select({ from, offset: border.offset, rules });
    this.#passesOver = passing(before);
    this.#goOn = async () => {
      this.#goOn = undefined;
      this.#passesOver = undefined;
      await query.select({ from, rows: 'behind', rules });
    };
    await query.select({ from, rows: 'at' });
  }

  async #openAtPlace(query: Query, border: PlaceBorder): Promise<void> {
    const taken = this.#sequence + 1;
    await query.select({ offset: taken - border.checks, rules: this.#rules(query) });
    if (border.checks === 0) return;
    const again = await query.take(border.checks);
    // Fewer rows than were taken: they are warned of, there is nothing to read.
    if (border.isWhere(again)) return;
    const before = border.takenBefore();
    if (before) {
      await query.select({});
      this.#passesOver = passing(before);
    } else if (again.count === border.checks) {
      throw new StageError(
        'SOURCE_UNREADABLE',
        `${this.#where}: the rows before row ${taken} are not those that were taken: rows came or went in front of them; give the query a cursor, or an order that only grows, and start a new state`,
      );
    }
  }

  async #countOverlooked(query: Query): Promise<void> {
    if (this.#border instanceof CursorBorder) await this.#overlooked.countBehind(query, this.#border);
    else await this.#overlooked.countAll(query, this.#sequence + 1);
  }

  warnings(): readonly string[] {
    return this.#overlooked.warnings();
  }

  async close(): Promise<void> {
    const open = this.#query;
    this.#query = undefined;
    await open?.close();
  }
}

/** Passes over the rows that were taken before. */
const passing =
  (before: TakenBefore): PassesOver =>
  row =>
    before.passes(markOf(fingerprint(row)));

/** A source over a query. `SOURCE_UNREADABLE` when the query fails or its rows are not where they were. */
export const createDuckdbSource = (options: DuckdbSourceOptions, baseDirectory = '.'): Source =>
  new DuckdbSource(options, baseDirectory);
