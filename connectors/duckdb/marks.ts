import { createHash } from 'node:crypto';

/** Tells rows apart that no key does: 72 bits of the MD5 of a row's fields as JSON. */
export const fingerprint = (row: readonly unknown[]): string =>
  createHash('md5').update(JSON.stringify(row)).digest('base64url').slice(0, 12);

/** How rows with these columns are told apart by the `known` ones alone; those of `known` that are gone do not count. */
export function fingerprintBy<C>(known: readonly C[], columns: readonly C[]): typeof fingerprint {
  const places = known.map(name => columns.indexOf(name)).filter(c => c >= 0);
  return row => fingerprint(places.map(c => row[c]));
}

/** The first 64 bits of a fingerprint. */
export const markOf = (print: string): bigint => Buffer.from(print, 'base64url').readBigUInt64LE();

/** A list of marks that grows. Views of it stay as they are. */
export class MarkList {
  #marks: BigUint64Array<ArrayBufferLike>;
  #length: number;

  constructor(marks: BigUint64Array = new BigUint64Array(0)) {
    this.#marks = marks;
    this.#length = marks.length;
  }

  get length(): number {
    return this.#length;
  }

  push(mark: bigint): void {
    if (this.#length === this.#marks.length) {
      const larger = new BigUint64Array(Math.max(1024, 2 * this.#length));
      larger.set(this.#marks);
      this.#marks = larger;
    }
    this.#marks[this.#length++] = mark;
  }

  view(): BigUint64Array {
    return this.#marks.subarray(0, this.#length);
  }
}

/** Rows to pass over, by their marks; each mark stands for one row. */
export class TakenBefore {
  readonly #marks: BigUint64Array;
  /** At the first of equal marks: how many rows are left of it. */
  readonly #left: Int32Array;

  constructor(marks: BigUint64Array) {
    this.#marks = marks.slice().sort();
    this.#left = new Int32Array(marks.length);
    for (let k = 0, first = 0; k < marks.length; k++) {
      if (this.#marks[k] !== this.#marks[first]) first = k;
      this.#left[first]!++;
    }
  }

  get size(): number {
    return this.#marks.length;
  }

  /** Whether a row with this mark was taken before. */
  passes(mark: bigint): boolean {
    let [lo, hi] = [0, this.#marks.length];
    while (lo < hi) {
      const middle = (lo + hi) >>> 1;
      if (this.#marks[middle]! < mark) lo = middle + 1;
      else hi = middle;
    }
    if (this.#marks[lo] !== mark || this.#left[lo] === 0) return false;
    this.#left[lo]!--;
    return true;
  }
}
