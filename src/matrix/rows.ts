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

/** Histories of a few users, in the order of `keys`. */
export interface Histories {
  readonly keys: readonly string[];
  readonly rows: Rows;
}

/** Bytes of X. */
export const rowBytesOf = ({ users, indptr, indices, values }: Rows): number =>
  4 * (users.length + indptr.length + indices.length + (values?.length ?? 0));

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

/** The number of rows that have an item, by item. */
export function rowsPerItem({ n, indices }: Rows): Int32Array {
  const counts = new Int32Array(n);
  for (const i of indices) counts[i]!++;
  return counts;
}

/** The rows of `users` (ascending ids); empty for a user without one. */
export function rowsOfUsers(rows: Rows, users: Int32Array): Rows {
  const starts = new Int32Array(users.length);
  const indptr = new Int32Array(users.length + 1);
  for (let r = 0, t = 0; r < users.length; r++) {
    while (t < rows.users.length && rows.users[t]! < users[r]!) t++;
    starts[r] = rows.indptr[Math.min(t, rows.users.length)]!;
    const length = rows.users[t] === users[r] ? rows.indptr[t + 1]! - starts[r]! : 0;
    indptr[r + 1] = indptr[r]! + length;
  }
  const [first = 0, entries] = [starts[0], indptr[users.length]!];
  const together = starts.every((start, r) => start === first + indptr[r]!);
  const take = (source: Int32Array): Int32Array => {
    if (together) return source.subarray(first, first + entries);
    const target = new Int32Array(entries);
    for (let r = 0; r < users.length; r++) {
      const length = indptr[r + 1]! - indptr[r]!;
      target.set(source.subarray(starts[r]!, starts[r]! + length), indptr[r]!);
    }
    return target;
  };
  return { n: rows.n, users, indptr, indices: take(rows.indices), values: rows.values && take(rows.values) };
}
