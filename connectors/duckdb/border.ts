import type { Position } from '../../src/contracts/index.js';
import { type fingerprint, fingerprintBy, MarkList, markOf, TakenBefore } from './marks.js';
import type { Field } from './project.js';
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
  /** The fields that the fingerprints are of; earlier programs did not store them. */
  readonly fields?: readonly Field[] | undefined;
}

/**
 * The fields by which rows are known again: those that the query had when the first of them was taken, so that a query
 * may get further ones. `columns` are those that it has now.
 */
class Known {
  readonly fields: readonly Field[];
  readonly columns: readonly Field[];
  readonly print: typeof fingerprint;

  constructor(fields: readonly Field[], columns: readonly Field[]) {
    this.fields = fields;
    this.columns = columns;
    this.print = fingerprintBy(fields, columns);
  }

  get gone(): readonly Field[] {
    return this.fields.filter(field => !this.columns.includes(field));
  }

  /** The fingerprints of rows from `from` on. */
  of(rows: TakenRows, from: number): string[] {
    return Array.from({ length: rows.count - from }, (_, k) => this.print(rows.row(from + k)));
  }
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
  #known = new Known([], []);

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

  /** Goes on with a query that has these columns; returns the fields that are gone by which rows at the border are known. */
  over(columns: readonly Field[]): readonly Field[] {
    this.#known = new Known(this.#token?.fields ?? columns, columns);
    return this.#known.gone;
  }

  /** How a row at the border is known again. */
  get print(): typeof fingerprint {
    return this.#known.print;
  }

  /** Knows the rows at the border by the columns of the query from now on; `advance` gets all of them after that. */
  forget(): void {
    if (!this.#token) return;
    const { cursor, taken, known } = this.#token;
    this.#token = { cursor, taken: 0, ties: [], known: known - taken };
    this.#marks = undefined;
    this.over(this.#known.columns);
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
    if (!earlier) {
      this.#marks = undefined;
      this.#known = new Known(this.#known.columns, this.#known.columns);
    }
    const prints = this.#known.of(rows, first);
    const { fields } = this.#known;
    if (taken <= mostTies) {
      this.#token = { cursor, taken, ties: [...(earlier?.ties ?? []), ...prints], known, fields };
      return;
    }
    if (!this.#marks) {
      this.#stored = 0;
      this.#marks = new MarkList(BigUint64Array.from(earlier?.ties ?? [], markOf));
    }
    for (const print of prints) this.#marks.push(markOf(print));
    this.#token = { cursor, taken, known, fields };
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

/** Where a read without a cursor ended: fingerprints of the last rows, and of which fields they are. */
interface PlaceToken {
  readonly tail: readonly string[];
  readonly fields?: readonly Field[] | undefined;
}

/**
 * Where reading in the order of the query has come to. The last rows taken show whether places are still right; if they
 * are not, the rows taken are told by their marks, as long as there are not too many.
 */
export class PlaceBorder {
  #tail: readonly string[];
  #marks: MarkList | undefined;
  #stored = 0;
  #fields: readonly Field[] | undefined;
  #known = new Known([], []);

  constructor(rows: number, { token, taken }: Resume = {}) {
    const stored = token === undefined ? { tail: [] } : (JSON.parse(token) as PlaceToken);
    this.#tail = stored.tail;
    this.#fields = stored.fields;
    const marks = taken?.marks ?? new BigUint64Array(0);
    if (marks.length === rows) this.#marks = new MarkList(marks);
    this.#stored = marks.length;
  }

  /** Goes on with a query that has these columns; returns the fields that are gone by which rows are known. */
  over(columns: readonly Field[]): readonly Field[] {
    this.#fields ??= columns;
    this.#known = new Known(this.#fields, columns);
    return this.#known.gone;
  }

  /** How a row is known again. */
  get print(): typeof fingerprint {
    return this.#known.print;
  }

  /** How many of the rows taken are read again, to see whether they are where they were. */
  get checks(): number {
    return this.#tail.length;
  }

  /** Whether the rows that were read again are those that were taken last. */
  isWhere(rows: TakenRows): boolean {
    return (
      rows.count === this.#tail.length && this.#known.of(rows, 0).every((print, k) => print === this.#tail[k])
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
    const prints = this.#known.of(rows, from);
    this.#tail = [...this.#tail, ...prints.slice(-tailRows)].slice(-tailRows);
    if (this.#marks) for (const print of prints) this.#marks.push(markOf(print));
  }

  /** What the state remembers; each mark is handed out as new once. */
  resume(): Resume {
    const token = JSON.stringify({ tail: this.#tail, fields: this.#fields } satisfies PlaceToken);
    if (!this.#marks) return { token };
    const taken = { marks: this.#marks.view(), stored: this.#stored };
    this.#stored = this.#marks.length;
    return { token, taken };
  }
}
