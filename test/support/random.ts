import type { Rows } from '#src/matrix/rows.js';

/** Uniform numbers in [0, 1) from a 32-bit seed (mulberry32). */
export type Random = () => number;

export function seeded(seed: number): Random {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A random permutation of 0 … n − 1. */
export function permutation(random: Random, n: number): Int32Array {
  const p = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [p[i], p[j]] = [p[j]!, p[i]!];
  }
  return p;
}

/** Rows from a dense X, users 0 … m − 1; no values when every nonzero is 1. */
export function rowsOf(X: readonly (readonly number[])[], n: number): Rows {
  const indptr = new Int32Array(X.length + 1);
  const indices: number[] = [];
  const values: number[] = [];
  X.forEach((row, u) => {
    row.forEach((x, i) => {
      if (x !== 0) {
        indices.push(i);
        values.push(x);
      }
    });
    indptr[u + 1] = indices.length;
  });
  return {
    n,
    users: Int32Array.from(X, (_, u) => u),
    indptr,
    indices: Int32Array.from(indices),
    values: values.every(x => x === 1) ? undefined : Int32Array.from(values),
  };
}

/** A dense m × n matrix of integers 0 … max, `density` of them nonzero, popular columns in front. */
export function randomX(random: Random, m: number, n: number, density: number, max = 1): number[][] {
  return Array.from({ length: m }, () =>
    Array.from({ length: n }, (_, j) =>
      random() < (density * 2 * (n - j)) / (n + 1) ? 1 + Math.floor(random() * max) : 0,
    ),
  );
}
