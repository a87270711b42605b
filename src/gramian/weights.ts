import type { RowChanges, Rows } from '../matrix/rows.js';

/** Fixed-point units of a user weight of 1. */
export const weightUnits = 4096;

/**
 * Σ_u x_uj² of an item at most, in units of X. Times the largest weight of a user it is 2⁵⁰, so that an entry of G,
 * |G_ij| ≤ √(G_ii G_jj), is within 2⁵⁰, and one of an update, the difference of two, within 2⁵¹: float64 holds them, and
 * the sums on the way to them, exactly.
 */
export const largestEnergy = (userWeighting: number): number =>
  2 ** 50 / (userWeighting === 0 ? 1 : weightUnits);

/** Units of G in 1: those of two values and, where users are weighted, of a weight. */
export const unitsOf = (scale: number, userWeighting: number): number =>
  scale * scale * (userWeighting === 0 ? 1 : weightUnits);

/**
 * w_u = 2^(−η⌊log₂ d_u⌋) of a user with d_u items, in fixed point and at least one unit. It changes only where d_u
 * passes a power of two, so that incremental sums seldom add up a row anew.
 */
export function octaveWeight(items: number, eta: number): number {
  const octave = items > 1 ? 31 - Math.clz32(items) : 0;
  return Math.max(1, Math.round(weightUnits * 2 ** (-eta * octave)));
}

/** The weight of each row; `undefined`, all 1, where η is 0. */
export function octaveWeights({ users, indptr }: Rows, eta: number): Int32Array | undefined {
  if (eta === 0) return undefined;
  return Int32Array.from(users, (_, r) => octaveWeight(indptr[r + 1]! - indptr[r]!, eta));
}

/** G_jj = Σ_u w_u x_uj² by item, in units of G; `weights` are those of the rows, 1 without. */
export function diagonalOf({ n, users, indptr, indices, values }: Rows, weights?: Int32Array): Float64Array {
  const g = new Float64Array(n);
  for (let r = 0; r < users.length; r++) {
    const w = weights ? weights[r]! : 1;
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) g[indices[e]!]! += values ? w * values[e]! ** 2 : w;
  }
  return g;
}

/** Fixed-point user weights of the changed rows, before and after. */
export interface WeightChanges {
  readonly before: Int32Array;
  readonly after: Int32Array;
}

/** The weights of changed rows before and after. */
export function weightChanges({ before, after }: RowChanges, eta: number): WeightChanges | undefined {
  const [x, y] = [octaveWeights(before, eta), octaveWeights(after, eta)];
  return x && y && { before: x, after: y };
}
