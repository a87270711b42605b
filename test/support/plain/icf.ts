import type { LowerColumns } from './columns.js';
import { capacity, type Lower } from './lower.js';
import { scatter } from './scatter.js';
import { kthLargest } from './select.js';

/** The factor, or the column and the pivot ≤ 0 at which the matrix turned out not positive definite. */
export type IcfResult =
  | { readonly ok: true; readonly factor: Lower }
  | { readonly ok: false; readonly column: number; readonly pivot: number };

/**
 * Incomplete Cholesky with limited memory, L Lᵀ ≈ A: left-looking by columns, the ⌊(budget − p)/(n − j)⌋
 * largest off-diagonal entries of column j are kept (p entries so far), and dropped ones still lower the
 * diagonal. Lin & Moré 1999; as in Spišák et al. 2023, §3.
 *
 * A_ij = t_i t_j G_ij off the diagonal and A_jj = `diagonal[j]` on it, all by position. The result does not
 * depend on the order in which a column of G arrives: ties go to the smaller position.
 */
export function icf(G: LowerColumns, diagonal: Float64Array, t: Float64Array, budget: number): IcfResult {
  const n = diagonal.length;
  const room = capacity(n, budget);
  const Lp = new Int32Array(n + 1);
  const Li = new Int32Array(room);
  const Lx = new Float32Array(room);
  const d = diagonal.slice();
  const a = new Float64Array(n); // column j of A, then of L times d_j
  const x = new Float64Array(n);
  const rows = new Int32Array(n);
  const mark = new Int32Array(n).fill(-1);
  const magnitudes = new Float32Array(n);
  const first = new Int32Array(n); // first entry of column k at or below row j
  const head = new Int32Array(n).fill(-1); // columns k whose first entry is in row j …
  const next = new Int32Array(n); // … as a linked list

  const enlist = (k: number) => {
    if (first[k] === Lp[k + 1]) return;
    const i = Li[first[k]!]!;
    next[k] = head[i]!;
    head[i] = k;
  };

  let p = 0;
  for (let j = 0; j < n; j++) {
    let count = G.column(j, rows, x);
    for (let e = 0; e < count; e++) {
      const i = rows[e]!;
      mark[i] = j;
      a[i] = x[e]! * t[i]! * t[j]!;
    }
    // a := A[j+1:, j] − Σ_k L[j+1:, k] L_jk
    for (let k = head[j]!, after: number; k !== -1; k = after) {
      after = next[k]!;
      const e = first[k]!++;
      count = scatter(Li, Lx, e + 1, Lp[k + 1]!, -Lx[e]!, a, mark, j, rows, count);
      enlist(k);
    }
    if (!(d[j]! > 0)) return { ok: false, column: j, pivot: d[j]! };

    const dj = Math.sqrt(d[j]!);
    const perPivot = 1 / d[j]!;
    for (let e = 0; e < count; e++) {
      const i = rows[e]!;
      d[i]! -= a[i]! * a[i]! * perPivot; // L_ij², kept or not
    }
    // The diagonal of every column to come must still fit.
    const quota = Math.min(Math.floor((budget - p) / (n - j)), budget - p - (n - j));
    const kept = largest(rows, count, a, quota, magnitudes).sort();
    Li[p] = j;
    Lx[p++] = dj;
    first[j] = p;
    for (let e = 0; e < kept.length; e++) {
      Li[p] = kept[e]!;
      Lx[p++] = a[kept[e]!]! / dj;
    }
    Lp[j + 1] = p;
    enlist(j);
  }
  return { ok: true, factor: { n, indptr: Lp, indices: Li.slice(0, p), data: Lx.slice(0, p) } };
}

/** The `quota` of the first `count` rows with the largest |a_i|, ties to the smaller row, moved to the front. */
function largest(
  rows: Int32Array,
  count: number,
  a: Float64Array,
  quota: number,
  magnitudes: Float32Array,
): Int32Array {
  if (count <= quota) return rows.subarray(0, count);
  if (quota <= 0) return rows.subarray(0, 0);
  for (let e = 0; e < count; e++) magnitudes[e] = Math.abs(a[rows[e]!]!);
  const least = kthLargest(magnitudes, count, quota);
  const ties: number[] = [];
  let kept = 0;
  for (let e = 0; e < count; e++) {
    const i = rows[e]!;
    const magnitude = Math.fround(Math.abs(a[i]!));
    if (magnitude > least) rows[kept++] = i;
    else if (magnitude === least) ties.push(i);
  }
  ties.sort((i, k) => i - k);
  for (let e = 0; kept < quota; e++) rows[kept++] = ties[e]!;
  return rows.subarray(0, quota);
}
