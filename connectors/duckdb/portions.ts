import type { StageError } from '../../src/errors.js';
import type { Rules } from './judge.js';
import type { CursorRange, Query } from './query.js';
import { doesNotFit, type Room } from './room.js';

/** Rows of the smallest portion. */
const leastRows = 10_000;

/**
 * Portions of the rows behind a cursor: all of them, until DuckDB could not sort them in its memory. From then on `#rows`
 * is about the size of one, which is halved each time that one does not fit.
 */
export class Portions {
  readonly #where: string;
  readonly #room: Room;
  #rows = Number.POSITIVE_INFINITY;
  #tooLarge = false;
  /** Why the last portion did not fit. */
  #error: unknown;
  /** About how many rows lie behind the portion being read, with those in it. */
  #left = 0;
  #rules: Rules | undefined;
  /** Whether the range being read has an end: it is read at once. */
  #whole = false;
  /** Its last cursor; without it, it is the last one. */
  #to: string | undefined;

  constructor(where: string, room: Room) {
    this.#where = where;
    this.#room = room;
  }

  /** Makes portions smaller after `error`: one did not fit. Throws if the rows could not even be counted since the last time. */
  shrink(error: unknown): void {
    this.#error = error;
    if (this.#whole || this.#tooLarge) throw this.#least();
    this.#tooLarge = true;
  }

  /** Begins to read a range, whole if it has an end, without `offset` rows. `MEMORY_BUDGET` when portions cannot be smaller. */
  async begin(query: Query, range: CursorRange, offset: number, rules: Rules | undefined): Promise<void> {
    this.#rules = rules;
    this.#whole = range.to !== undefined;
    this.#to = undefined;
    if (this.#whole) return query.select(range, offset, rules);
    if (this.#tooLarge || this.#rows < Number.POSITIVE_INFINITY) this.#left = await query.countIn(range);
    if (this.#tooLarge) this.#rows = this.#half();
    this.#tooLarge = false;
    await this.#select(query, range, offset);
  }

  #half(): number {
    const half = Math.floor(Math.min(this.#rows, this.#left) / 2);
    if (half >= leastRows) return half;
    throw this.#least();
  }

  #least(): StageError {
    const ways = 'select fewer columns, or write the files with smaller row groups';
    return doesNotFit(this.#where, this.#room, this.#error, ways);
  }

  /** Goes on with the next portion; false when there is none. */
  async next(query: Query): Promise<boolean> {
    if (this.#to === undefined) return false;
    this.#left -= this.#rows;
    await this.#select(query, { from: this.#to, behind: true }, 0);
    return true;
  }

  async #select(query: Query, range: CursorRange, offset: number): Promise<void> {
    const all = this.#left <= this.#rows;
    this.#to = all ? undefined : await query.cursorAfter(range, this.#rows, this.#left);
    await query.select({ ...range, to: this.#to }, offset, this.#rules);
  }
}
