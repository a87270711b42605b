import type { Rows } from '#src/matrix/rows.js';

/** X by items, compressed sparse column: `rows` are row numbers of X, ascending within an item. */
export interface ItemColumns {
  readonly n: number;
  /** Item j is `indptr[j] … indptr[j + 1]` of `rows` and `values`; length n + 1. */
  readonly indptr: Int32Array;
  readonly rows: Int32Array;
  readonly values: Int32Array | undefined;
}

/** The columns of X. */
export function itemColumns(X: Rows): ItemColumns {
  const { n, indptr: Xp, indices: Xi, values: Xv } = X;
  const Cp = new Int32Array(n + 1);
  const Ci = new Int32Array(Xi.length);
  const Cv = Xv && new Int32Array(Xi.length);
  for (let e = 0; e < Xi.length; e++) Cp[Xi[e]! + 1]!++;
  for (let j = 0; j < n; j++) Cp[j + 1]! += Cp[j]!;
  const next = Cp.slice(0, n);
  for (let r = 0; r + 1 < Xp.length; r++) {
    for (let e = Xp[r]!; e < Xp[r + 1]!; e++) {
      const f = next[Xi[e]!]!++;
      Ci[f] = r;
      if (Cv) Cv[f] = Xv![e]!;
    }
  }
  return { n, indptr: Cp, rows: Ci, values: Cv };
}
