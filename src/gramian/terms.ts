import type { RowChanges, Rows } from '../matrix/rows.js';
import { type Address, type Arena, fitsInt32 } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import { diagonalOf, type WeightChanges } from './weights.js';

/** ΔG = Σ_t l_t r_tᵀ in the arena: `left` by terms, `right` by items, as the kernels' `Lines` records. */
export interface Terms {
  readonly left: Address;
  readonly right: Address;
  /** Entries of column j before duplicates are summed, F64[n]. */
  readonly work: Address;
  /** Σ work: the pairs visited. */
  readonly pairs: number;
  /** No entry of ΔG, nor any sum on the way that is not allowed to wrap, is larger. */
  readonly bound: number;
  /** Whether both sides are matrices of ones. */
  readonly ones: boolean;
}

/** One outer product l rᵀ, rows of `RowChanges` or their difference. */
interface Side {
  readonly indices: number[] | Int32Array;
  readonly values: number[] | Int32Array | undefined;
}

/**
 * The outer products whose sum is G' − G. Where a user's weight w stays: D x'ᵀ and x Dᵀ times w, with D = x' − x,
 * which visits only pairs with a changed entry; where it changes: w' x'x'ᵀ − w xxᵀ. The two products of a user follow one
 * another, so a sum on the way is an entry of G' − G of some users, and perhaps one product: below Σ w' x'² + Σ w x² of
 * its items (Cauchy–Schwarz, values ≥ 0), the `bound`.
 */
export function changeTerms(arena: Arena, changes: RowChanges, weights?: WeightChanges): Terms {
  const { before, after } = changes;
  if (weights === undefined && before.indices.length === 0 && after.values === undefined) {
    return ones(arena, after);
  }
  const left = new Lines();
  const right = new Lines();
  for (let r = 0; r < after.users.length; r++) {
    const w = weights ? weights.before[r]! : 1;
    const v = weights ? weights.after[r]! : 1;
    const x = row(before, r);
    const y = row(after, r);
    if (w !== v) {
      left.push(y, 1);
      right.push(y, v);
      left.push(x, 1);
      right.push(x, -w);
      continue;
    }
    const d = difference(x, y);
    if (d.indices.length === 0) continue;
    left.push(d, 1);
    right.push(y, w);
    left.push(x, 1);
    right.push(d, w);
  }
  const bound = largestDiagonal(after, weights?.after) + largestDiagonal(before, weights?.before);
  return place(arena, after.n, left.lines(), right.lines(), bound, false);
}

function row(rows: Rows, r: number): Side {
  const lo = rows.indptr[r]!;
  const hi = rows.indptr[r + 1]!;
  return { indices: rows.indices.subarray(lo, hi), values: rows.values?.subarray(lo, hi) };
}

/** y − x without zeros. */
function difference(x: Side, y: Side): Side {
  const indices: number[] = [];
  const values: number[] = [];
  const put = (i: number, v: number) => {
    if (v === 0) return;
    indices.push(i);
    values.push(v);
  };
  const at = (side: Side, e: number) => (side.values ? side.values[e]! : 1);
  let a = 0;
  let b = 0;
  while (a < x.indices.length || b < y.indices.length) {
    const i = x.indices[a] ?? Number.POSITIVE_INFINITY;
    const k = y.indices[b] ?? Number.POSITIVE_INFINITY;
    if (i < k) put(i, -at(x, a++));
    else if (k < i) put(k, at(y, b++));
    else put(i, at(y, b++) - at(x, a++));
  }
  return { indices, values };
}

function largestDiagonal(rows: Rows, weights: Int32Array | undefined): number {
  return diagonalOf(rows, weights).reduce((a, b) => Math.max(a, b), 0);
}

/** Sparse rows under construction; values as float64, which holds w·x exactly. */
class Lines {
  #indptr = [0];
  #indices = new Int32Array(1024);
  #values = new Float64Array(1024);
  #length = 0;

  push({ indices, values }: Side, factor: number): void {
    const end = this.#length + indices.length;
    if (end > this.#indices.length) this.#grow(Math.max(end, 2 * this.#indices.length));
    for (let e = 0; e < indices.length; e++) {
      this.#indices[this.#length] = indices[e]!;
      this.#values[this.#length++] = factor * (values ? values[e]! : 1);
    }
    this.#indptr.push(end);
  }

  lines(): SparseLines {
    return {
      indptr: Int32Array.from(this.#indptr),
      indices: this.#indices.subarray(0, this.#length),
      values: this.#values.subarray(0, this.#length),
    };
  }

  #grow(size: number): void {
    const indices = new Int32Array(size);
    const values = new Float64Array(size);
    indices.set(this.#indices);
    values.set(this.#values);
    this.#indices = indices;
    this.#values = values;
  }
}

interface SparseLines {
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float64Array | undefined;
}

function ones(arena: Arena, after: Rows): Terms {
  const side = { indptr: after.indptr, indices: after.indices, values: undefined };
  return place(arena, after.n, side, side, largestDiagonal(after, undefined), true);
}

/** Copies the terms to the arena, `right` transposed. */
function place(
  arena: Arena,
  n: number,
  left: SparseLines,
  right: SparseLines,
  bound: number,
  isOnes: boolean,
): Terms {
  const wide = !fitsInt32(bound);
  const store = (values: Float64Array | undefined) =>
    arena.copy(values && (wide ? values : Int32Array.from(values)), 'changed rows');
  const entries = right.indices.length;
  const Rp = arena.i32(arena.zeros(4 * (n + 1), 'changed columns'), n + 1);
  const Ri = arena.i32(arena.bytes(4 * entries, 'changed columns'), entries);
  const Rv = right.values && new Float64Array(entries);
  for (let e = 0; e < entries; e++) Rp[right.indices[e]! + 1]!++;
  for (let j = 0; j < n; j++) Rp[j + 1]! += Rp[j]!;
  const next = Rp.slice(0, n);
  const work = arena.f64(arena.zeros(8 * n, 'changed columns'), n);
  let pairs = 0;
  for (let t = 0; t + 1 < right.indptr.length; t++) {
    const length = left.indptr[t + 1]! - left.indptr[t]!;
    for (let e = right.indptr[t]!; e < right.indptr[t + 1]!; e++) {
      const j = right.indices[e]!;
      const f = next[j]!++;
      Ri[f] = t;
      if (Rv) Rv[f] = right.values![e]!;
      work[j]! += length;
      pairs += length;
    }
  }
  const lines = (indptr: Address, indices: Address, values: Address) =>
    record(arena, 'Lines', { indptr, indices, values }, 'changed rows');
  return {
    left: lines(
      arena.copy(left.indptr, 'changed rows'),
      arena.copy(left.indices, 'changed rows'),
      store(left.values),
    ),
    right: lines(Rp.byteOffset, Ri.byteOffset, store(Rv)),
    work: work.byteOffset,
    pairs,
    bound,
    ones: isOnes,
  };
}
