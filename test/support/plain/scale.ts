import type { Gramian } from './columns.js';

/**
 * s_j = ‖G[:,j]‖₂^(−1/2) of the real Gramian, 1 for an empty column, for every item j: the scaling S of
 * A' = S G S (Spišák et al. 2023, §3; Lin & Moré 1999).
 */
export function columnScales(gramian: Gramian): Float64Array {
  // real entries are fixed point / scale², so ‖G‖ = √squared / scale²
  const { scale } = gramian;
  return gramian.squaredNorms().map(squared => (squared > 0 ? scale / squared ** 0.25 : 1));
}

/** S = I. */
export function unitScales(n: number): Float64Array {
  return new Float64Array(n).fill(1);
}
