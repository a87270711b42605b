import type { Position } from '../../src/contracts/index.js';
import { fingerprint, MarkList, markOf, TakenBefore } from './marks.js';
import type { TakenRows } from './taken.js';

/** Rows with the border's cursor that a token remembers itself; the marks of more are kept beside the position. */
const mostTies = 10_000;
/** Rows without a cursor that are remembered one by one, and how many of the last show that their places are right. */
export const mostRows = 200_000;
export const tailRows = 16;

/** Where a read with a cursor ended. */
export interface Token {
  /** The cursor's value at the border, as text. */
  readonly cursor: string;
  /** How many rows with that value were taken. */
  readonly taken: number;
  /** Their fingerprints, up to `mostTies`. */
  readonly ties?: readonly string[] | undefined;
  /** Rows up to the border that are accounted for: taken, or warned of. */
  readonly known: number;
}

type Resume = Pick<Position, 'token' | 'taken'>;

/**
 * Where reading by a cursor has come to. Every row at the border that was taken is known by its mark, so that rows that
 * join them later are told from them, wherever they sort. Only a position that an earlier program stored may have a
 * count of many ties without their marks: then rows are told by their place.
 */
export class CursorBorder {
  #token: Token | undefined;
  #marks: MarkList | undefined;
  #stored = 0;

  constructor({ token, taken }: Resume = {}) {
    this.#token = token === undefined ? undefined : (JSON.parse(token) as Token);
    if (taken) {
      this.#marks = new MarkList(taken.marks);
      this.#stored = taken.marks.length;
    }
  }

  get token(): Token | undefined {
    return this.#token;
  }

  /** How many rows up to the border were taken, or warned of. */
  account(known: number): void {
    if (this.#token) this.#token = { ...this.#token, known };
  }

  /** The rows to pass over at the border. */
  takenBefore(): TakenBefore {
    if (this.#marks) return new TakenBefore(this.#marks.view());
    return new TakenBefore(BigUint64Array.from(this.#token?.ties ?? [], markOf));
  }

  /** How many rows to pass over by their place. */
  get offset(): number {
    return this.#token && !this.#token.ties && !this.#marks ? this.#token.taken : 0;
  }

  /** Moves behind rows, which come by ascending cursor; others, with smaller cursors, lie in front of them: `all` in all. */
  advance(rows: TakenRows, all = rows.count): void {
    const { count } = rows;
    const cursor = rows.cursor(count - 1);
    let first = count;
    while (first > 0 && rows.cursor(first - 1) === cursor) first--;
    const earlier = this.#token?.cursor === cursor ? this.#token : undefined;
    const taken = (earlier?.taken ?? 0) + count - first;
    const known = (this.#token?.known ?? 0) + all;
    if (this.offset > 0 && earlier) {
      this.#token = { cursor, taken, known };
      return;
    }
    if (!earlier) this.#marks = undefined;
    const prints = Array.from({ length: count - first }, (_, k) => fingerprint(rows.row(first + k)));
    if (taken <= mostTies) {
      this.#token = { cursor, taken, ties: [...(earlier?.ties ?? []), ...prints], known };
      return;
    }
    if (!this.#marks) {
      this.#stored = 0;
      this.#marks = new MarkList(BigUint64Array.from(earlier?.ties ?? [], markOf));
    }
    for (const print of prints) this.#marks.push(markOf(print));
    this.#token = { cursor, taken, known };
  }

  /** What the state remembers; each mark is handed out as new once. */
  resume(): Resume {
    const token = this.#token && JSON.stringify(this.#token);
    if (!this.#marks) return { token };
    const taken = { marks: this.#marks.view(), stored: this.#stored };
    this.#stored = this.#marks.length;
    return { token, taken };
  }
}

/**
 * Where reading in the order of the query has come to. The last rows taken show whether places are still right; if they
 * are not, the rows taken are told by their marks, as long as there are not too many.
 */
export class PlaceBorder {
  #tail: readonly string[];
  #marks: MarkList | undefined;
  #stored = 0;

  constructor(rows: number, { token, taken }: Resume = {}) {
    this.#tail = token === undefined ? [] : (JSON.parse(token) as { tail: string[] }).tail;
    const marks = taken?.marks ?? new BigUint64Array(0);
    if (marks.length === rows) this.#marks = new MarkList(marks);
    this.#stored = marks.length;
  }

  /** How many of the rows taken are read again, to see whether they are where they were. */
  get checks(): number {
    return this.#tail.length;
  }

  /** Whether the rows that were read again are those that were taken last. */
  isWhere(rows: TakenRows): boolean {
    return (
      rows.count === this.#tail.length && this.#tail.every((print, k) => print === fingerprint(rows.row(k)))
    );
  }

  /** The rows to pass over when places are wrong; `undefined` if they are too many to be known. */
  takenBefore(): TakenBefore | undefined {
    return this.#marks && new TakenBefore(this.#marks.view());
  }

  /** Remembers rows by their place alone: more are being read than it could remember one by one. */
  forget(): void {
    this.#marks = undefined;
  }

  /** Moves behind `all` rows, of which `rows` are the last. */
  advance(rows: TakenRows, all = rows.count): void {
    const { count } = rows;
    if (this.#marks && this.#marks.length + all > mostRows) this.#marks = undefined;
    const from = this.#marks ? 0 : Math.max(0, count - tailRows);
    const prints = Array.from({ length: count - from }, (_, k) => fingerprint(rows.row(from + k)));
    this.#tail = [...this.#tail, ...prints.slice(-tailRows)].slice(-tailRows);
    if (this.#marks) for (const print of prints) this.#marks.push(markOf(print));
  }

  /** What the state remembers; each mark is handed out as new once. */
  resume(): Resume {
    const token = JSON.stringify({ tail: this.#tail });
    if (!this.#marks) return { token };
    const taken = { marks: this.#marks.view(), stored: this.#stored };
    this.#stored = this.#marks.length;
    return { token, taken };
  }
}
