/** Origin of a fit's columns: sums over segment files, or computed from X. */
export type GramianMode = 'stored' | 'implicit';

/** A state's record of its Gramian; η = `userWeighting` is in the segments, if there are any. */
export interface GramianState {
  readonly mode: GramianMode;
  readonly userWeighting: number;
}

/**
 * Entries of G when Σ_u d_u² pairs fall on n² cells at random: n²(1 − e^(−pairs/n²)). Real pairs crowd on
 * popular items, so this is an upper estimate.
 */
export function expectedEntries(n: number, pairs: number): number {
  return n === 0 ? 0 : n * n * -Math.expm1(-pairs / (n * n));
}

/**
 * Stored, when X visits each entry of G at least twice over (a fit then reads less than it would compute);
 * implicit for sparse catalogues, where G is as large as the work to make it. `current` is kept inside a
 * band of a factor 2, so that a state does not flap between the two.
 */
export function planGramian(n: number, pairs: number, current: GramianMode | undefined): GramianMode {
  const ratio = pairs / Math.max(1, expectedEntries(n, pairs));
  if (current === 'stored') return ratio >= 1.5 ? 'stored' : 'implicit';
  if (current === 'implicit') return ratio >= 3 ? 'stored' : 'implicit';
  return ratio >= 2 ? 'stored' : 'implicit';
}
