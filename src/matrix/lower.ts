import type { Address } from '../runtime/arena.js';

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
