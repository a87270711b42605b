import { I32s } from './views';

/**
 * X (users × items) with items relabelled by their position in the elimination order, by rows and by columns.
 * Positions ascend within a row, users within a column. Entry e of column j is user `user[e]`, and the part
 * of that user's row to the right of j is `rest[e] … indptr[user[e] + 1]`: with it a column of the lower
 * triangle of XᵀWX needs no search, and columns need no order of visit. Entry e itself is at `rest[e] − 1`.
 */
@unmanaged
export class Interactions {
  users: i32;
  items: i32;
  indptr: I32s;
  positions: I32s;
  values: I32s; // of the rows, fixed-point; absent when all are 1
  weights: I32s; // w_u, fixed-point; absent when all are 1
  columns: I32s;
  user: I32s;
  rest: I32s;
}

/** Coefficient w_u x_uj of user u's row in column j, for entry e. The flags are constants of the caller. */
@inline
export function coefficient<A>(x: Interactions, e: i32, weighted: bool, valued: bool): A {
  let c: A = 1;
  if (weighted) c = <A>x.weights[x.user[e]];
  if (valued) c *= <A>x.values[x.rest[e] - 1];
  return c;
}
