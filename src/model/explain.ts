import type { CsrMatrix, Model } from './model.js';

/** Part of a score: `item`, one of the user's own, adds `amount`. */
export interface Contribution {
  readonly item: number;
  readonly amount: number;
}

/**
 * Splits the score of item j for a user into what each of the user's own items adds: u_i · S_ij with a serving matrix S, else
 * u_i · Σ_k W_ik Z_kj over the latents k. Scores are linear in u, so the amounts sum to the score. Items that add
 * nothing are left out; the largest amounts come first. `values` are 1 when absent.
 */
export function explain(
  { n, encoder, decoder, serving }: Model,
  items: Int32Array,
  values: ArrayLike<number> | undefined,
  j: number,
): readonly Contribution[] {
  const fromLatents = serving ? undefined : columnOf(decoder, j);
  const found: Contribution[] = [];
  items.forEach((item, e) => {
    if (item >= n) return;
    const reach = fromLatents ? rowTimes(encoder, item, fromLatents) : entryOf(serving!, item, j);
    const amount = (values ? values[e]! : 1) * reach;
    if (amount !== 0) found.push({ item, amount });
  });
  return found.sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount) || a.item - b.item);
}

/** A_ij, 0 where it is not stored. */
function entryOf({ indptr, indices, data }: CsrMatrix, i: number, j: number): number {
  let [low, high] = [indptr[i]!, indptr[i + 1]!];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (indices[middle]! < j) low = middle + 1;
    else high = middle;
  }
  return low < indptr[i + 1]! && indices[low] === j ? data[low]! : 0;
}

/** Column j as a dense vector. */
const columnOf = (A: CsrMatrix, j: number): Float64Array =>
  Float64Array.from({ length: A.rows }, (_, i) => entryOf(A, i, j));

/** Σ_k A_ik x_k */
function rowTimes({ indptr, indices, data }: CsrMatrix, i: number, x: Float64Array): number {
  let sum = 0;
  for (let e = indptr[i]!; e < indptr[i + 1]!; e++) sum += data[e]! * x[indices[e]!]!;
  return sum;
}
