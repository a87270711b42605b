/** Dense oracles: the textbook formula on arrays of rows, float64. */

import type { CsrMatrix, Model } from '#src/model/model.js';
import type { Gramian } from './plain/columns.js';
import type { Lower } from './plain/lower.js';
import { permutation, type Random } from './random.js';

export type Dense = number[][];

export function build(m: number, n: number, value: (i: number, j: number) => number): Dense {
  return Array.from({ length: m }, (_, i) => Array.from({ length: n }, (_, j) => value(i, j)));
}

/** AB */
export function multiply(A: Dense, B: Dense): Dense {
  return build(A.length, B[0]?.length ?? 0, (i, j) => A[i]!.reduce((s, a, k) => s + a * B[k]![j]!, 0));
}

/** XᵀX */
export function gramOf(X: Dense, n: number): Dense {
  return build(n, n, (i, j) => X.reduce((s, x) => s + x[i]! * x[j]!, 0));
}

/** L with LLᵀ = A */
export function cholesky(A: Dense): Dense {
  const n = A.length;
  const L = build(n, n, () => 0);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let s = A[i]![j]!;
      for (let k = 0; k < j; k++) s -= L[i]![k]! * L[j]![k]!;
      L[i]![j] = i === j ? Math.sqrt(s) : s / L[j]![j]!;
    }
  }
  return L;
}

/** A⁻¹ by Gauss–Jordan with partial pivoting. */
export function inverse(A: Dense): Dense {
  const n = A.length;
  const M = A.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let j = 0; j < n; j++) {
    let p = j;
    for (let i = j; i < n; i++) if (Math.abs(M[i]![j]!) > Math.abs(M[p]![j]!)) p = i;
    [M[j], M[p]] = [M[p]!, M[j]!];
    const pivot = M[j]![j]!;
    M[j] = M[j]!.map(v => v / pivot);
    for (let i = 0; i < n; i++) {
      const f = M[i]![j]!;
      if (i !== j && f !== 0) M[i] = M[i]!.map((v, c) => v - f * M[j]![c]!);
    }
  }
  return M.map(row => row.slice(n));
}

/** EASE before its diagonal is removed: −P_ij / P_jj, P = A⁻¹ (Steck 2019). */
export function easeWeights(A: Dense): Dense {
  const P = inverse(A);
  return build(A.length, A.length, (i, j) => -P[i]![j]! / P[j]![j]!);
}

/** A Gramian of dense integers; a column's entries arrive in random order if `shuffle` is given. */
export function denseGramian(G: Dense, scale = 1, shuffle?: Random): Gramian {
  const n = G.length;
  return {
    n,
    scale,
    diagonal: () => Float64Array.from(G, (row, j) => row[j]!),
    squaredNorms: () => Float64Array.from(G, row => row.reduce((s, g) => s + g * g, 0)),
    lower: order => ({
      column(k, indices, values) {
        let count = 0;
        for (const i of shuffle ? permutation(shuffle, n) : order.keys()) {
          const g = G[order[i]!]![order[k]!]!;
          if (i <= k || g === 0) continue;
          indices[count] = i;
          values[count++] = g;
        }
        return count;
      },
    }),
    close() {},
  };
}

export function fromLower({ n, indptr, indices, data }: Lower): Dense {
  const A = build(n, n, () => 0);
  for (let j = 0; j < n; j++) for (let e = indptr[j]!; e < indptr[j + 1]!; e++) A[indices[e]!]![j] = data[e]!;
  return A;
}

export function fromCsr({ rows, columns, indptr, indices, data }: CsrMatrix): Dense {
  const A = build(rows, columns, () => 0);
  for (let i = 0; i < rows; i++)
    for (let e = indptr[i]!; e < indptr[i + 1]!; e++) A[i]![indices[e]!] = data[e]!;
  return A;
}

/** encoder · decoder */
export function weightsOf(model: Model): Dense {
  return multiply(fromCsr(model.encoder), fromCsr(model.decoder));
}

/** max |A_ij − B_ij|, and infinity where either is no number. */
export function distance(A: Dense, B: Dense): number {
  let most = 0;
  A.forEach((row, i) => {
    row.forEach((a, j) => {
      const d = Math.abs(a - B[i]![j]!);
      most = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(most, d);
    });
  });
  return most;
}
