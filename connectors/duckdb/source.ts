import { z } from 'zod';
import type { Position, Read, RecordBatch, Source } from '../../src/contracts/index.js';
import { lacksMemory, StageError } from '../../src/errors.js';
import { mebibytes } from '../../src/size.js';
import { timeOptions } from '../../src/stages/event-time.js';
import { CursorBorder, PlaceBorder } from './border.js';
import { ampleRoom, type Room, reason } from './database.js';
import { fingerprint, markOf, type TakenBefore } from './marks.js';
import { Overlooked } from './overlooked.js';
import { Portions } from './portions.js';
import { original } from './project.js';
import { type PassesOver, Query, type TakenRows } from './query.js';

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

/** What a row takes of the memory, as a rule, while batches of them are read, decoded and stored (measured). */
const bytesOfRow = 4096;

/**
 * A source over a query. Its one partition is `rows`; a record's sequence is its ordinal among all rows read so far.
 * A read resumes behind the border: with a cursor, at its last value, without the rows of that value that were taken;
 * without one, behind the last row taken. Rows are known again by their content. Rows that appear later with an older
 * cursor, and rows without a cursor, are not read: they are counted when the source is caught up, and warned of once.
 *
 * The query is open from the first `read` to the one that finds no more rows; `#sequence` and `#border` stand behind
 * the last row that was given, whether or not it has been stored.
 */
class DuckdbSource implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly #options: DuckdbSourceOptions;
  readonly #baseDirectory: string;
  readonly #room: Room;
  readonly #where: string;
  readonly #overlooked: Overlooked;
  readonly #batchSize: number;
  #portions: Portions;
  #query: Query | undefined;
  #passesOver: PassesOver | undefined;
  #sequence = -1;
  #border: CursorBorder | PlaceBorder;

  constructor(options: DuckdbSourceOptions, baseDirectory: string, room: Room) {
    this.name = options.name;
    this.#options = options;
    this.#baseDirectory = baseDirectory;
    this.#room = room;
    this.#where = `source ${options.name}`;
    this.#overlooked = new Overlooked(options.checkMs);
    this.#batchSize = Math.max(1, Math.min(options.batchSize, Math.floor(room.memoryBytes / bytesOfRow)));
    this.#portions = new Portions(this.#where, room.memoryBytes);
    this.#border = options.cursor === undefined ? new PlaceBorder(0) : new CursorBorder();
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
    const { values, cursors, columns, count } = rows;
    const first = this.#sequence + 1;
    this.#sequence += count;
    this.#border.advance(rows);
    const query = this.#query!;
    const cursor = query.cursor?.name;
    const { timeUnit, maxAheadMs } = this.#options;
    const records: RecordBatch = {
      length: count,
      partition: 'rows',
      sequence: Float64Array.from({ length: count }, (_, k) => first + k),
      user: query.converted('user', values)!,
      item: query.converted('item', values)!,
      weight: query.converted('weight', values),
      op: query.converted('op', values),
      ts: query.converted('ts', values),
      id: query.converted('id', values),
      times: { unit: query.hasMoments ? 'ms' : timeUnit, maxAheadMs },
      raw: k => original(columns, rows.row(k), cursor, cursors[k]),
    };
    const position = { partition: 'rows', sequence: this.#sequence, ...this.#border.resume() };
    return { batches: [{ records, position }], ack: async () => undefined };
  }

  /** The next rows; at the end the query is closed and there are none. What does not fit is read in portions. */
  async #take(signal?: AbortSignal): Promise<TakenRows | undefined> {
    for (;;) {
      try {
        return await this.#takeNext(signal);
      } catch (error) {
        await this.close();
        if (error instanceof StageError) throw error;
        const smaller = lacksMemory(error) && this.#border instanceof CursorBorder;
        if (!smaller) throw this.#unreadable(error);
        this.#portions.shrink();
      }
    }
  }

  async #takeNext(signal?: AbortSignal): Promise<TakenRows | undefined> {
    const query = this.#query ?? (await this.#open(signal));
    do {
      const rows = await query.take(this.#batchSize, this.#passesOver);
      if (rows.count > 0) return rows;
    } while (await this.#portions.next(query));
    if (this.#overlooked.due) await this.#countOverlooked(query);
    await this.close();
    this.#portions = new Portions(this.#where, this.#room.memoryBytes);
    return undefined;
  }

  #unreadable(error: unknown): StageError {
    if (lacksMemory(error))
      return new StageError(
        'MEMORY_BUDGET',
        `${this.#where}: the query does not fit into the ${mebibytes(this.#room.memoryBytes)} that a source has for DuckDB (${reason(error)}); raise \`memory\`, or give the source a cursor, by which rows are read in portions`,
        { cause: error },
      );
    return new StageError('SOURCE_UNREADABLE', `${this.#where}: ${reason(error)}`, { cause: error });
  }

  async #open(signal?: AbortSignal): Promise<Query> {
    const opening = { baseDirectory: this.#baseDirectory, room: this.#room, signal };
    const query = await Query.open(this.#options, this.#where, opening);
    this.#query = query;
    this.#passesOver = undefined;
    if (this.#border instanceof CursorBorder) await this.#openAtCursor(query, this.#border);
    else await this.#openAtPlace(query, this.#border);
    return query;
  }

  async #openAtCursor(query: Query, border: CursorBorder): Promise<void> {
    const cursor = border.token?.cursor;
    await this.#portions.begin(query, cursor, border.offset);
    const before = border.takenBefore();
    if (before.size > 0) this.#passesOver = passing(before, at => at === cursor);
  }

  async #openAtPlace(query: Query, border: PlaceBorder): Promise<void> {
    const taken = this.#sequence + 1;
    await query.select({}, taken - border.checks);
    if (border.checks === 0) return;
    const again = await query.take(border.checks);
    // Fewer rows than were taken: they are warned of, there is nothing to read.
    if (border.isWhere(again)) return;
    const before = border.takenBefore();
    if (before) {
      await query.select({}, 0);
      this.#passesOver = passing(before, () => true);
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

/** Passes over the rows that were taken before, among those whose cursor is `at` the border. */
function passing(before: TakenBefore, at: (cursor: string | undefined) => boolean): PassesOver {
  return (row, cursor) => at(cursor) && before.passes(markOf(fingerprint(row())));
}

/** A source over a query. `SOURCE_UNREADABLE` when the query fails or its rows are not where they were. */
export const createDuckdbSource = (
  options: DuckdbSourceOptions,
  baseDirectory = '.',
  room = ampleRoom,
): Source => new DuckdbSource(options, baseDirectory, room);
