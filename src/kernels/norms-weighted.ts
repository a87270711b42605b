import { coefficient, Interactions } from './interactions';
import { I32s, present, View } from './views';

/** As in `norms`, in 64 bits: S is i64 where every sum stays below 2⁶³, f64 elsewhere. */
@unmanaged
class Tally<S> {
  count: i64;
  squares: S;
}

/**
 * Squared column norms of G = XᵀWX, W = diag(w), for a block of columns: as `norms` for values and user weights,
 * where (v + c)² − v² = c(2v + c). Scratch: n tallies of 16 bytes, zero before and after, then s (S[n]).
 * In f64 sums round, so there each block needs scratch of its own and the caller adds them up in fixed order.
 */
@inline
function block<S>(task: i32, tallies: usize, x: Interactions, bounds: I32s, stride: i64, weighted: bool, valued: bool): void {
  const n = x.items;
  const Xp = x.indptr, Xi = x.positions, Xv = x.values, Cp = x.columns, Cu = x.user, Cr = x.rest;
  const s = changetype<View<S>>(tallies + ((<usize>n) << 4));
  let base: i64 = 0;
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    if (base > i64.MAX_VALUE - 2 * stride) {
      flush<S>(n, tallies, s);
      base = 0;
    }
    base += stride;
    let diagonal: i64 = 0;
    let own: S = 0;
    for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) {
      const c = coefficient<i64>(x, e, weighted, valued);
      diagonal += valued ? c * <i64>Xv[Cr[e] - 1] : c;
      for (let k = Cr[e], end = Xp[Cu[e] + 1]; k < end; k++) {
        const t = changetype<Tally<S>>(tallies + ((<usize>Xi[k]) << 4));
        const v = max(t.count, base);
        const add = valued ? c * <i64>Xv[k] : c;
        t.count = v + add;
        const step = <S>add * <S>(((v - base) << 1) + add);
        t.squares += step;
        own += step;
      }
    }
    s[j] += own + <S>diagonal * <S>diagonal;
  }
  flush<S>(n, tallies, s);
}

// s += squares; tallies := 0
function flush<S>(n: i32, tallies: usize, s: View<S>): void {
  for (let i = 0; i < n; i++) s[i] += changetype<Tally<S>>(tallies + ((<usize>i) << 4)).squares;
  memory.fill(tallies, 0, (<usize>n) << 4);
}

/** W of user weights, X of ones, sums below 2⁶³. */
export function normsWeighted(task: i32, scratch: usize, x: Interactions, bounds: I32s, stride: f64): void {
  block<i64>(task, scratch, x, bounds, <i64>stride, true, false);
}

/** X of values, W = I, sums below 2⁶³. */
export function normsValued(task: i32, scratch: usize, x: Interactions, bounds: I32s, stride: f64): void {
  block<i64>(task, scratch, x, bounds, <i64>stride, false, true);
}

/** X of values, W of user weights, sums below 2⁶³. */
export function normsWeightedValued(task: i32, scratch: usize, x: Interactions, bounds: I32s, stride: f64): void {
  block<i64>(task, scratch, x, bounds, <i64>stride, true, true);
}

/** Any sums, rounded; block `task` has scratch `lanes + task · 24 n`. */
export function normsRounded(task: i32, scratch: usize, lanes: usize, x: Interactions, bounds: I32s, stride: f64): void {
  const tallies = lanes + (<usize>task) * 24 * <usize>x.items;
  block<f64>(task, tallies, x, bounds, <i64>stride, present(x.weights), present(x.values));
}
