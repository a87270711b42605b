import type { CsrMatrix } from './model.js';

/**
 * q_i = G_ii^(−power) for every item, times a factor with which the mean of q over interactions is 1, Σ G_ii q_i = Σ G_ii: then
 * scores keep their size, whatever the units of G and the weights of users. Items that nobody has weigh 1.
 */
export function itemWeights(diagonal: Float64Array, power: number): Float64Array {
  const raised = diagonal.map(g => (g > 0 ? g ** -power : 0));
  let [all, weighted] = [0, 0];
  for (let i = 0; i < diagonal.length; i++) {
    all += diagonal[i]!;
    weighted += diagonal[i]! * raised[i]!;
  }
  return raised.map(q => (q > 0 ? (q * all) / weighted : 1));
}

/** A := diag(q) A */
export function scaleRows({ rows, indptr, data }: CsrMatrix, q: Float64Array): void {
  for (let i = 0; i < rows; i++) for (let e = indptr[i]!; e < indptr[i + 1]!; e++) data[e]! *= q[i]!;
}

/** A := A diag(q) */
export function scaleColumns({ indices, data }: Pick<CsrMatrix, 'indices' | 'data'>, q: Float64Array): void {
  for (let e = 0; e < data.length; e++) data[e]! *= q[indices[e]!]!;
}
