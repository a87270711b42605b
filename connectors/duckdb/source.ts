import type { Position, Read, RecordBatch, Source, Taker, TimeRules } from '../../src/contracts/index.js';
import { lacksMemory, StageError } from '../../src/errors.js';
import { CursorBorder, mostRows, PlaceBorder } from './border.js';
import { reason } from './database.js';
import { EventChunks } from './event-chunks.js';
import type { Rules } from './judge.js';
import { fingerprint, markOf, type TakenBefore } from './marks.js';
import { Overlooked } from './overlooked.js';
import { Portions } from './portions.js';
import { type Field, original } from './project.js';
import { type PassesOver, Query } from './query.js';
import { ampleRoom, doesNotFit, type Room } from './room.js';
import type { DuckdbSourceOptions } from './source-options.js';
import type { TakenRows } from './taken.js';

/** What a row takes of the memory, as a rule, while batches of them are read, decoded and stored (measured). */
const bytesOfRow = 4096;
/** What a row takes at most, as a rule, before it is decoded. */
const bytesAhead = 1024;

/**
 * A source over a query. Its one partition is `rows`; a record's sequence is its ordinal among all rows read so far.
 * A read resumes behind the border: with a cursor, at its last value, without the rows of that value that were taken;
 * without one, behind the last row taken. Rows are known again by their content. Rows that appear later with an older
 * cursor, and rows without a cursor, are not read: they are counted when the source is caught up, and warned of once.
 *
 * The query is open from the first `read` to the one that finds no more rows; `#sequence` and `#border` stand behind
 * the last row that was given, whether or not it has been stored.
 *
 * For a state that understands them, SQL makes events of the rows; those it is not sure of come as records, and those
 * among which some are passed over.
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
  /** Rows that were read before they are given. */
  #ahead: TakenRows[] = [];
  #taker: Taker | undefined;
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
    this.#portions = new Portions(this.#where, room);
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

  /** The next rows; at the end the query is closed and there are none. What does not fit is read in portions. */
  async #take(signal?: AbortSignal): Promise<TakenRows | undefined> {
    for (;;) {
      try {
        return await this.#takeNext(signal);
      } catch (error) {
        await this.close();
        if (signal?.aborted) throw new StageError('INTERRUPTED', `${this.#where}: no longer read`);
        if (error instanceof StageError) throw error;
        const smaller = lacksMemory(error) && this.#border instanceof CursorBorder;
        if (!smaller) throw this.#unreadable(error);
        this.#portions.shrink(error);
      }
    }
  }

  async #takeNext(signal?: AbortSignal): Promise<TakenRows | undefined> {
    const query = this.#query ?? (await this.#open(signal));
    if (!this.#passesOver) await this.#lookAhead(query);
    do {
      const rows = this.#ahead.shift() ?? (await query.take(this.#batchSize, this.#passesOver));
      if (rows.count > 0) return rows;
    } while (await this.#goOn(query));
    if (this.#overlooked.due) await this.#countOverlooked(query);
    await this.close();
    this.#portions = new Portions(this.#where, this.#room);
    return undefined;
  }

  /** To mark rows takes longer than to read them: where many more lie ahead than can be marked, none are. */
  async #lookAhead(query: Query): Promise<void> {
    const border = this.#border;
    if (!this.#taker || !(border instanceof PlaceBorder) || !border.remembers) return;
    if (this.#room.memoryBytes < mostRows * bytesAhead) return;
    let count = this.#ahead.reduce((sum, rows) => sum + rows.count, 0);
    for (let more = true; more && count <= mostRows; ) {
      const rows = await query.take(this.#batchSize);
      more = rows.count > 0;
      if (more) this.#ahead.push(rows);
      count += rows.count;
    }
    if (count > mostRows) border.forget();
  }

  /** Begins the rows behind those that are read; false when there are none. */
  async #goOn(query: Query): Promise<boolean> {
    if (!this.#passesOver || !(this.#border instanceof CursorBorder)) return this.#portions.next(query);
    this.#passesOver = undefined;
    const range = { from: this.#border.token!.cursor, behind: true };
    await this.#portions.begin(query, range, 0, this.#rules(query));
    return true;
  }

  #unreadable(error: unknown): StageError {
    if (lacksMemory(error))
      return doesNotFit(
        this.#where,
        this.#room,
        error,
        'give the source a cursor, by which rows are read in portions',
      );
    return new StageError('SOURCE_UNREADABLE', `${this.#where}: ${reason(error)}`, { cause: error });
  }

  async #open(signal?: AbortSignal): Promise<Query> {
    const opening = { baseDirectory: this.#baseDirectory, room: this.#room, signal };
    const query = await Query.open(this.#options, this.#where, opening);
    this.#query = query;
    this.#passesOver = undefined;
    this.#ahead = [];
    if (this.#border instanceof CursorBorder) await this.#openAtCursor(query, this.#border);
    else await this.#openAtPlace(query, this.#border);
    return query;
  }

  async #openAtCursor(query: Query, border: CursorBorder): Promise<void> {
    const from = border.token?.cursor;
    const before = border.takenBefore();
    if (before.size === 0) return this.#portions.begin(query, { from }, border.offset, this.#rules(query));
    this.#passesOver = passing(before);
    await this.#portions.begin(query, { from, to: from }, 0, undefined);
  }

  async #openAtPlace(query: Query, border: PlaceBorder): Promise<void> {
    const taken = this.#sequence + 1;
    await query.select({}, taken - border.checks, this.#rules(query));
    if (border.checks === 0) return;
    const again = await query.take(border.checks);
    // Fewer rows than were taken: they are warned of, there is nothing to read.
    if (border.isWhere(again)) return;
    const before = border.takenBefore();
    if (before) {
      await query.select({}, 0);
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
export const createDuckdbSource = (
  options: DuckdbSourceOptions,
  baseDirectory = '.',
  room = ampleRoom,
): Source => new DuckdbSource(options, baseDirectory, room);
