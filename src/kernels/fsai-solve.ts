import { Blocks, blockOf, Fsai } from './fsai';
import { clear, F32s, F64s, from, I32s } from './views';

@inline
function dot(a: F64s, b: F64s, n: i32): f64 {
  let sum = f64x2.splat(0);
  let k = 0;
  for (; k + 2 <= n; k += 2) {
    sum = f64x2.add(sum, f64x2.mul(v128.load(changetype<usize>(from(a, k))), v128.load(changetype<usize>(from(b, k)))));
  }
  let total = f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
  if (k < n) total += a[k] * b[k];
  return total;
}

/** Pivots below this part of the diagonal are lost in rounding. */
const ROUNDING: f64 = 1e-13;

/**
 * K̂ and D for a block of rows: with A[P_j ∪ {j}] = L Lᵀ, j last, K̂_j = L⁻ᵀe / (L⁻ᵀe)_j and D_j = L_jj², so that
 * A⁻¹ ≈ K̂ᵀD⁻¹K̂ (Kolotilina & Yeremin 1993, §2). No pivot of G + λI is below λ, as G is positive semidefinite, and one
 * that is far below its diagonal is what rounding left of it: it is raised to where it is not. Scratch: F64[(m + 1)² + m + 1].
 */
export function fsaiSolve(task: i32, scratch: usize, b: Blocks, bounds: I32s, lambda: f64): void {
  const f = b.f;
  const m = f.m, width = m + 1;
  const L = changetype<F64s>(scratch);
  const y = from(L, width * width);
  for (let j = b.lo + bounds[task], hi = b.lo + bounds[task + 1]; j < hi; j++) {
    const r = j - f.first, s = f.counts[r];
    const P = from(f.pattern, r * m);
    const values = from(f.values, r * m);
    const block = blockOf(f, b, j);
    for (let x = 0; x <= s; x++) {
      const row = from(L, x * width);
      const at = (x * (x - 1)) >> 1;
      for (let k = 0; k < x; k++) {
        const a = x == s ? values[k] : b.wide ? changetype<F64s>(block)[at + k] : <f64>changetype<I32s>(block)[at + k];
        row[k] = (a - dot(row, from(L, k * width), k)) / L[k * width + k];
      }
      const a = f.diagonal[x == s ? j : P[x]] + lambda;
      const pivot = max(a - dot(row, row, x), max(lambda, ROUNDING * a));
      row[x] = sqrt(pivot);
      if (x == s) f.pivots[r] = pivot;
    }
    // Lᵀy = e: y_s = 1 by scale, then each row of L takes its part off those above
    for (let k = 0; k < s; k++) y[k] = 0;
    for (let x = s; x >= 0; x--) {
      const row = from(L, x * width);
      const v = x == s ? 1 : y[x] / row[x];
      if (x < s) values[x] = v;
      for (let k = 0; k < x; k++) y[k] -= row[k] * v;
    }
  }
}

/** K̂ by columns, rows ascending, from all its rows; `Kp` has room for n + 1, the arrays for n + Σ counts. */
export function fsaiColumns(f: Fsai, Kp: I32s, Ki: I32s, Kx: F32s, next: I32s): void {
  const n = f.n, m = f.m, P = f.pattern;
  clear(Kp, n + 1);
  for (let j = 0; j < n; j++) {
    Kp[j + 1] += 1;
    for (let e = j * m, end = e + f.counts[j]; e < end; e++) Kp[P[e] + 1] += 1;
  }
  for (let i = 0; i < n; i++) {
    Kp[i + 1] += Kp[i];
    next[i] = Kp[i];
  }
  for (let j = 0; j < n; j++) {
    for (let e = j * m, end = e + f.counts[j]; e < end; e++) {
      const p = next[P[e]];
      next[P[e]] = p + 1;
      Ki[p] = j;
      Kx[p] = <f32>f.values[e];
    }
    const p = next[j];
    next[j] = p + 1;
    Ki[p] = j;
    Kx[p] = 1;
  }
}
