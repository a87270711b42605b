import { StageError } from '#src/errors.js';

/**
 * Sparse lower triangular matrix (n × n), compressed sparse column, float32. The diagonal is stored and comes
 * first in its column.
 */
export interface Lower {
  readonly n: number;
  /** Column j is `indptr[j] … indptr[j + 1]` of `indices` and `data`; length n + 1. */
  readonly indptr: Int32Array;
  readonly indices: Int32Array;
  readonly data: Float32Array;
}

/**
 * Entries to allocate for a lower triangle under a budget: min(p_max, n(n + 1)/2). Throws `MEMORY_BUDGET`
 * beyond 2³¹ − 1, where positions no longer fit an int32.
 */
export function capacity(n: number, budget: number): number {
  const entries = Math.min(budget, (n * (n + 1)) / 2);
  if (entries > 0x7fffffff) {
    throw new StageError(
      'MEMORY_BUDGET',
      `the density allows ${entries} entries a layer, expected at most 2^31 - 1`,
    );
  }
  return entries;
}
