import type { Rows } from '../matrix/rows.js';
import type { Address, Arena } from '../runtime/arena.js';
import { allocate } from '../runtime/parts.js';
import { record } from '../runtime/records.js';
import type { GramianSize } from './columns.js';

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

/** X by rows and by columns. */
export const interactionParts = ({ users, items: n, entries, weighted, valued }: GramianSize) => ({
  indptr: 4 * (users + 1),
  positions: 4 * entries,
  values: valued ? 4 * entries : 0,
  weights: weighted ? 4 * users : 0,
  ...columnParts(n, entries),
});

const columnParts = (n: number, entries: number) => ({
  columns: 4 * (n + 1),
  user: 4 * entries,
  rest: 4 * entries,
});

/** Workspace of loading X. */
export const loadingParts = ({ users, items: n }: Pick<GramianSize, 'users' | 'items'>) => ({
  place: 4 * n,
  cursor: 4 * Math.max(users, n),
  sums: 8 * n,
});

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
  const parts = {
    indptr: arena.copy(rows.indptr, 'row pointers of X'),
    positions: arena.copy(rows.indices, 'rows of X'),
    values: arena.copy(rows.values, 'values of X'),
    weights: arena.copy(weights, 'user weights'),
    ...allocate(arena, columnParts(n, entries), 'columns of X'),
  };
  const address = record(arena, 'Interactions', { users, items: n, ...parts }, 'X');
  const mark = arena.mark();
  const { place, cursor, sums } = allocate(arena, loadingParts({ users, items: n }), 'loading X');
  arena.i32(place, n).set(positions);
  arena.kernels.relabel(address, place, cursor);
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
