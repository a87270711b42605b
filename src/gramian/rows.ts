/**
 * Rows of the interaction matrix X (users × items), compressed sparse row, with fixed-point integer values.
 * `users[r]` names the user of row r, so that a few rows of a large matrix need no empty ones between them.
 */
export interface Rows {
  /** Number of items, the width of X. */
  readonly n: number;
  /** User id of each row, ascending. */
  readonly users: Int32Array;
  /** Row r is `indptr[r] … indptr[r + 1]` of `indices` and `values`; one longer than `users`. */
  readonly indptr: Int32Array;
  /** Item ids, ascending within a row. */
  readonly indices: Int32Array;
  /** Fixed-point values > 0, or absent when every value is 1. */
  readonly values: Int32Array | undefined;
}

/** The same users' rows before and after a change: `before.users` equals `after.users`. */
export interface RowChanges {
  readonly before: Rows;
  readonly after: Rows;
}

/** X with no rows. */
export function noRows(n: number): Rows {
  return {
    n,
    users: new Int32Array(0),
    indptr: new Int32Array(1),
    indices: new Int32Array(0),
    values: undefined,
  };
}

/** The change from nothing to X: a snapshot load. */
export function fromNothing(after: Rows): RowChanges {
  const before = { ...noRows(after.n), users: after.users, indptr: new Int32Array(after.users.length + 1) };
  return { before, after };
}

/** Binary rows from lists of ascending item ids, by ascending user. */
export function rowsOf(
  n: number,
  lists: readonly (readonly [user: number, items: ArrayLike<number>])[],
): Rows {
  const indptr = new Int32Array(lists.length + 1);
  lists.forEach(([, items], r) => {
    indptr[r + 1] = indptr[r]! + items.length;
  });
  const indices = new Int32Array(indptr[lists.length]!);
  lists.forEach(([, items], r) => {
    indices.set(items, indptr[r]!);
  });
  return { n, users: Int32Array.from(lists, ([user]) => user), indptr, indices, values: undefined };
}

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
