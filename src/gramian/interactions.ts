import type { Rows } from '../matrix/rows.js';
import type { Address, Arena } from '../runtime/arena.js';

/** X in the kernels' memory, with items relabelled by position, by rows and by columns. 12 bytes an entry (16 valued). */
export interface Interactions {
  /** The kernels' `Interactions` record. */
  readonly address: Address;
  readonly users: number;
  readonly items: number;
  readonly entries: number;
  readonly weighted: boolean;
  readonly valued: boolean;
  /** G_jj by position: Σ_u w_u x_uj². */
  readonly diagonal: Float64Array;
}

/**
 * Copies X into the arena and relabels it; `positions[i]` is the place of item i, `weights[u]` the fixed-point
 * weight w_u > 0 of row u in XᵀWX. Throws `MEMORY_BUDGET`.
 */
export function loadInteractions(
  arena: Arena,
  rows: Rows,
  positions: Int32Array,
  weights?: Int32Array,
): Interactions {
  const users = rows.users.length;
  const { n } = rows;
  const entries = rows.indices.length;
  const indptr = arena.copy(rows.indptr, 'row pointers of X');
  const indices = arena.copy(rows.indices, 'rows of X');
  const values = arena.copy(rows.values, 'values of X');
  const w = arena.copy(weights, 'user weights');
  const columns = arena.bytes(4 * (n + 1), 'column pointers of X');
  const user = arena.bytes(4 * entries, 'columns of X');
  const rest = arena.bytes(4 * entries, 'columns of X');
  const address = arena.record([users, n, indptr, indices, values, w, columns, user, rest], 'X');
  const mark = arena.mark();
  const place = arena.copy(positions, 'positions');
  const cursor = arena.bytes(4 * Math.max(users, n), 'cursors');
  arena.kernels.relabel(address, place, cursor);
  const sums = arena.bytes(8 * n, 'diagonal');
  arena.kernels.diagonal(address, sums);
  const diagonal = arena.f64(sums, n).slice();
  arena.release(mark);
  return {
    address,
    users,
    items: n,
    entries,
    weighted: weights !== undefined,
    valued: rows.values !== undefined,
    diagonal,
  };
}
