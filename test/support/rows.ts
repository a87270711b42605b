/** Random rows, and their Gramian filled entry by entry. */
import type { Rows } from '#src/matrix/rows.js';

/** A matrix by rows. */
export type Matrix = Float64Array[];

/** Uniform numbers in [0, 1) from a seed (xorshift32). */
export function random(seed: number): () => number {
  let s = seed | 0 || 1;
  return () => {
    s ^= s << 13;
    s ^= s >>> 17;
    s ^= s << 5;
    return (s >>> 0) / 2 ** 32;
  };
}

export interface RowOptions {
  readonly users: number;
  readonly items: number;
  readonly density: number;
  readonly seed: number;
  /** Values 1 … most, or ones. */
  readonly most?: number;
}

/** Random rows; low items are the popular ones, some users and items stay empty. */
export function randomRows({ users, items, density, seed, most }: RowOptions): Rows {
  const next = random(seed);
  const indptr = [0];
  const indices: number[] = [];
  const values: number[] = [];
  for (let u = 0; u < users; u++) {
    for (let i = 0; i < items && u % 11 !== 3; i++) {
      if (i % 13 === 5 || next() >= (density * 2 * (items - i)) / items) continue;
      indices.push(i);
      values.push(1 + Math.floor(next() * (most ?? 1)));
    }
    indptr.push(indices.length);
  }
  return {
    n: items,
    users: Int32Array.from({ length: users }, (_, u) => u),
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    values: most === undefined ? undefined : Int32Array.from(values),
  };
}

export function zeros(n: number): Matrix {
  return Array.from({ length: n }, () => new Float64Array(n));
}

/** XᵀWX entry by entry. */
export function gramian({ n, users, indptr, indices, values }: Rows, weights?: Int32Array): Matrix {
  const G = zeros(n);
  for (let r = 0; r < users.length; r++) {
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) {
      for (let f = indptr[r]!; f < indptr[r + 1]!; f++) {
        const product = (values ? values[e]! * values[f]! : 1) * (weights ? weights[r]! : 1);
        G[indices[e]!]![indices[f]!]! += product;
      }
    }
  }
  return G;
}

/** The rows lo … hi − 1 of X. */
export function rowsBetween(rows: Rows, lo: number, hi: number): Rows {
  const indptr = rows.indptr.subarray(lo, hi + 1);
  const [a, b] = [indptr[0]!, indptr[hi - lo]!];
  return {
    n: rows.n,
    users: rows.users.subarray(lo, hi),
    indptr: indptr.map(p => p - a),
    indices: rows.indices.subarray(a, b),
    values: rows.values?.subarray(a, b),
  };
}
