import type { Address, Arena } from '../runtime/arena.js';
import { allocate } from '../runtime/parts.js';
import { record } from '../runtime/records.js';

/**
 * A sparse lower triangular matrix (n × n) in the arena, compressed sparse column, float32, rows ascending;
 * the diagonal is stored and comes first in its column.
 */
export interface Lower {
  readonly n: number;
  readonly entries: number;
  /** I32[n + 1] */
  readonly indptr: Address;
  /** I32[entries] */
  readonly indices: Address;
  /** F32[entries] */
  readonly data: Address;
}

/** Entries to allocate for a lower triangle under a budget: at most n(n + 1)/2. */
export function capacity(n: number, budget: number): number {
  return Math.min(budget, (n * (n + 1)) / 2);
}

/** A compressed sparse matrix of float32 with n lines. */
export const sparseParts = (n: number, entries: number) => ({
  indptr: 4 * (n + 1),
  indices: 4 * entries,
  data: 4 * entries,
});

/** An empty matrix with room for `entries`. */
export const emptyLower = (arena: Arena, n: number, entries: number, what: string): Lower => ({
  n,
  entries: 0,
  ...allocate(arena, sparseParts(n, entries), what),
});

/** The kernels' record of a matrix. */
export const factorRecord = (arena: Arena, { n, indptr, indices, data }: Lower): Address =>
  record(arena, 'Factor', { n, indptr, indices, data }, 'matrix');
