import type {
  History,
  KeptRecord,
  PartitionEnd,
  Position,
  Read,
  RecordBatch,
  Source,
  Taker,
  TimeRules,
} from '../../src/contracts/index.js';
import { lacksMemory, StageError } from '../../src/errors.js';
import { parseExactJson } from '../../src/stages/number.js';
import { type Bookmark, readBookmark, writeBookmark } from './bookmark.js';
import { CursorBorder, mostRows, PlaceBorder } from './border.js';
import type { DuckDBConnection } from './client.js';
import { wholeReason } from './database.js';
import type { FileEvents } from './file-events.js';
import { findEnds, placesOf, rowsBefore } from './history.js';
import type { Rules } from './judge.js';
import { assertLooksBack } from './look-back.js';
import { fingerprint } from './marks.js';
import { Overlooked } from './overlooked.js';
import { Portions } from './portions.js';
import { type Field, fields } from './project.js';
import { type PassesOver, Query } from './query.js';
import { resumeAtCursor, resumeAtPlace } from './resume.js';
import { ampleRoom, doesNotFit, type Room } from './room.js';
import type { DuckdbSourceOptions } from './source-options.js';
import type { Batch } from './spool.js';

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
  readonly #many: number;
  #portions: Portions;
  #query: Query | undefined;
  #passesOver: PassesOver | undefined;
  /** Whether SQL could not write its events in the memory there is. */
  #tooLarge = false;
  #taker: Taker | undefined;
  /** Events that were read and not acknowledged. */
  readonly #lent = new Set<FileEvents>();
  #history: History | undefined;
  #bookmark: Bookmark = {};
  /** Whether rows in front of the border are read again, because some have come late. */
  #lookingBack = false;
  /** How many rows lay up to the border when some had come late. */
  #behind = 0;
  #sequence = -1;
  /** How the last query's times were read. */
  #lastTimes: TimeRules | undefined;
  #border: CursorBorder | PlaceBorder;

  constructor(options: DuckdbSourceOptions, baseDirectory: string, room: Room, many: number) {
    this.#many = many;
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

  becomeHistory(history: History): void {
    this.#history = history;
  }

  historyEnds(): readonly PartitionEnd[] {
    return this.#bookmark.ends ?? [];
  }

  get #partition(): string {
    return this.#history?.stream ?? 'rows';
  }

  async connect(positions: readonly Position[]): Promise<void> {
    const stored = positions.find(p => p.partition === this.#partition);
    const at = stored && { ...stored, ...readBookmark(stored.token) };
    const sequence = at?.sequence ?? -1;
    const { cursor = null } = this.#options;
    const query = fingerprint([this.#options.query.trim(), cursor]);
    const isAnother = at?.bookmark.query !== undefined && at.bookmark.query !== query;
    if (isAnother) this.#assertMayChange(at.bookmark.cursor === cursor);
    this.#bookmark = { ...at?.bookmark, query, cursor };
    this.#lookingBack = false;
    if (this.#options.cursor === undefined) {
      this.#border = new PlaceBorder(sequence + 1, at);
    } else {
      const before = (this.#border as CursorBorder).token;
      const border = new CursorBorder(isAnother && this.#options.onChangedQuery === 'reread' ? {} : at);
      // What was warned of since the position was stored stays so.
      if (before && before.cursor === border.token?.cursor && this.#sequence === sequence)
        border.account(before.known);
      this.#border = border;
    }
    this.#sequence = sequence;
  }

  /** `STATE_MISMATCH` unless the settings say what is to be done with another query than the one that was read. */
  #assertMayChange(goesByTheSame: boolean): void {
    const { onChangedQuery, cursor } = this.#options;
    if (onChangedQuery === 'keep' && goesByTheSame) return;
    if (onChangedQuery === 'reread' && cursor !== undefined) return;
    const ways = [
      ...(goesByTheSame ? ['set `onChangedQuery: keep` to go on behind the same place'] : []),
      ...(cursor === undefined
        ? []
        : ['set `onChangedQuery: reread` to read all rows again (event ids are known)']),
      'name the source anew',
    ];
    const what = goesByTheSame ? 'the query is not the one' : 'the cursor is not the one';
    throw new StageError('STATE_MISMATCH', `${this.#where}: ${what} that this state has read`, {
      remedy: ways.join(', or '),
    });
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    const batch = await this.#take(signal);
    if (!batch) return undefined;
    const first = this.#sequence + 1;
    this.#sequence += batch.count;
    if (!this.#lookingBack) this.#border.advance(batch.tail, batch.count);
    const times = this.#times(this.#query!);
    const records = { ...this.#query!.records(batch, first, times), partition: this.#partition };
    const { token, taken } = this.#border.resume();
    const position = {
      partition: this.#partition,
      sequence: this.#sequence,
      token: writeBookmark(this.#bookmark, token),
      taken,
    };
    const decoded = batch.events?.(first);
    if (decoded) this.#lend(decoded);
    const ack = async () => {
      if (decoded) this.#takeBack(decoded);
    };
    return { batches: [{ records, decoded, position }], ack };
  }

  /** Keeps the file of events until they are in the state: the next rows may be read before. */
  #lend(events: FileEvents): void {
    events.file.hold();
    this.#lent.add(events);
  }

  #takeBack(events: FileEvents): void {
    if (this.#lent.delete(events)) events.file.release();
  }

  async decodeAgain(letters: readonly KeptRecord[]): Promise<RecordBatch> {
    const rows = letters.map(({ raw }) => {
      const value = exactJson(raw);
      return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
    });
    const field = (name: Field) => rows.map(row => row[name] ?? undefined);
    const { maxAheadMs } = this.#options;
    return {
      length: rows.length,
      partition: this.#partition,
      sequence: letters.map(l => l.sequence),
      ...(Object.fromEntries(fields.map(name => [name, field(name)])) as Record<Field, unknown[]>),
      times: this.#lastTimes ?? { unit: 'auto', maxAheadMs },
      raw: k => letters[k]!.raw,
    };
  }

  #times(query: Query): TimeRules {
    const { timeUnit, maxAheadMs } = this.#options;
    return (this.#lastTimes = { unit: query.hasMoments ? 'ms' : timeUnit, maxAheadMs });
  }

  /** By what SQL makes events, if it does. */
  #rules(query: Query): Rules | undefined {
    if (!this.#taker || this.#tooLarge) return undefined;
    const { weights, directory } = this.#taker;
    return { weights, directory, many: this.#many, times: this.#times(query), now: Date.now() };
  }

  /** The next rows; at the end the query is closed and there are none. What does not fit is read in portions. */
  async #take(signal?: AbortSignal): Promise<Batch | undefined> {
    for (;;) {
      try {
        return await this.#takeNext(signal);
      } catch (error) {
        await this.#end();
        if (signal?.aborted) throw new StageError('INTERRUPTED', `${this.#where}: no longer read`);
        if (error instanceof StageError) throw error;
        if (!lacksMemory(error)) throw this.#unreadable(error);
        if (this.#border instanceof CursorBorder) this.#portions.shrink(error);
        else if (!this.#taker || this.#tooLarge) throw this.#unreadable(error);
        else this.#tooLarge = true;
      }
    }
  }

  async #takeNext(signal?: AbortSignal): Promise<Batch | undefined> {
    const query = this.#query ?? (await this.#open(signal));
    do {
      const batch = await query.next(this.#batchSize, this.#passesOver);
      if (batch.count > 0) return batch;
    } while ((await this.#goOn(query)) || (await this.#lookBack(query)));
    if (this.#overlooked.due) await this.#countOverlooked(query);
    await this.#end();
    this.#portions = new Portions(this.#where, this.#room);
    return undefined;
  }

  /** Begins the rows behind those that are read; false when there are none. */
  async #goOn(query: Query): Promise<boolean> {
    if (!this.#passesOver || !(this.#border instanceof CursorBorder)) return this.#portions.next(query);
    this.#passesOver = undefined;
    const range = { from: this.#border.token!.cursor, behind: true };
    await this.#portions.begin(query, range, 0, this.#rules(query));
    return true;
  }

  /** Begins the rows of `lookBack` once more, if some have come late; false if not, and after them. */
  async #lookBack(query: Query): Promise<boolean> {
    const { lookBack } = this.#options;
    const border = this.#border;
    if (lookBack === undefined || !(border instanceof CursorBorder) || !border.token) return false;
    if (this.#lookingBack) {
      this.#lookingBack = false;
      border.account(this.#behind);
      return false;
    }
    if (!this.#overlooked.due) return false;
    const { cursor, known } = border.token;
    this.#behind = await query.countIn({ to: cursor });
    if (this.#behind <= known) return false;
    const from = await query.cursorBefore(cursor, lookBack);
    this.#lookingBack = true;
    await this.#portions.begin(query, { from, to: cursor }, 0, undefined);
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
    return new StageError('SOURCE_UNREADABLE', `${this.#where}: ${wholeReason(error)}`, { cause: error });
  }

  async #open(signal?: AbortSignal): Promise<Query> {
    const opening = { baseDirectory: this.#baseDirectory, room: this.#room, signal };
    const query = await Query.open(this.#options, this.#where, {
      ...opening,
      setup: this.#options.setup,
      order: placesOf(this.#history),
      narrow: (connection, from) => this.#narrow(connection, from),
    });
    this.#query = query;
    assertLooksBack(this.#where, this.#options, query);
    this.#lookingBack = false;
    const room = { where: this.#where, batchSize: this.#batchSize, many: this.#many };
    const rules = this.#rules(query);
    this.#passesOver =
      this.#border instanceof CursorBorder
        ? await resumeAtCursor(query, this.#border, this.#portions, rules, room)
        : await resumeAtPlace(query, this.#border, this.#sequence + 1, rules, room);
    return query;
  }

  /** The rows of the query; of a history those that were there when it was first read. */
  async #narrow(connection: DuckDBConnection, from: string): Promise<string> {
    if (!this.#history) return from;
    const ends = this.#bookmark.ends ?? (await findEnds(connection, from, this.#history, this.#where));
    this.#bookmark = { ...this.#bookmark, ends };
    return rowsBefore(connection, from, this.#history, ends);
  }

  async #countOverlooked(query: Query): Promise<void> {
    if (this.#border instanceof CursorBorder) await this.#overlooked.countBehind(query, this.#border);
    else await this.#overlooked.countAll(query, this.#sequence + 1);
  }

  warnings(): readonly string[] {
    return this.#overlooked.warnings();
  }

  async close(): Promise<void> {
    await this.#end();
    for (const events of this.#lent) this.#takeBack(events);
  }

  async #end(): Promise<void> {
    const open = this.#query;
    this.#query = undefined;
    await open?.close();
  }
}

/** The value of a text; `undefined` where it is no JSON, as a row that was not kept whole. */
function exactJson(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch {
    return undefined;
  }
}

/**
 * A source over a query. `SOURCE_UNREADABLE` when the query fails or its rows are not where they were. More than `many`
 * rows are taken at once.
 */
export const createDuckdbSource = (
  options: DuckdbSourceOptions,
  baseDirectory = '.',
  room = ampleRoom,
  many = mostRows,
): Source => new DuckdbSource(options, baseDirectory, room, many);
