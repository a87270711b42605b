import { StageError } from '../../src/errors.js';
import { mebibytes } from '../../src/size.js';
import type { CursorRange, Query } from './query.js';

/** Rows of the smallest portion. */
const leastRows = 10_000;

/**
 * Portions of the rows behind a cursor: all of them, until DuckDB could not sort them in its memory. From then on `#rows`
 * is about the size of one, which is halved each time that one does not fit.
 */
export class Portions {
  readonly #where: string;
  readonly #memoryBytes: number;
  #rows = Number.POSITIVE_INFINITY;
  #tooLarge = false;
  /** About how many rows lie behind the portion being read, with those in it. */
  #left = 0;
  /** Its last cursor; without it, it is the last one. */
  #to: string | undefined;

  constructor(where: string, memoryBytes: number) {
    this.#where = where;
    this.#memoryBytes = memoryBytes;
  }

  /** Makes portions smaller after one did not fit. */
  shrink(): void {
    this.#tooLarge = true;
  }

  /** Begins to read at the cursor `from`, without `offset` rows. `MEMORY_BUDGET` when portions cannot be smaller. */
  async begin(query: Query, from: string | undefined, offset: number): Promise<void> {
    if (this.#tooLarge || this.#rows < Number.POSITIVE_INFINITY) this.#left = await query.countFrom(from);
    if (this.#tooLarge) this.#rows = this.#half();
    this.#tooLarge = false;
    await this.#select(query, { from }, offset);
  }

  #half(): number {
    const half = Math.floor(Math.min(this.#rows, this.#left) / 2);
    if (half >= leastRows) return half;
    throw new StageError(
      'MEMORY_BUDGET',
      `${this.#where}: the query does not fit into the ${mebibytes(this.#memoryBytes)} that a source has for DuckDB; raise \`memory\`, select fewer columns, or write the files with smaller row groups`,
    );
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
    await query.select({ ...range, to: this.#to }, offset);
  }
}
