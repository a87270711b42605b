import { Interactions } from './interactions';
import { I32s, I64s } from './views';

/** A thread's tally of row i: G_ij of the current column on top of its base, and Σ G_ij² so far. */
@unmanaged
class Tally {
  count: i32;
  squares: u32;
}

@inline
function at<T>(tallies: usize, i: i32): T {
  return changetype<T>(tallies + (<usize>i) * offsetof<T>());
}

/**
 * s_i += Σ_j G_ij², s_j += Σ_i G_ij² over the lower triangle (i > j) of a block of columns, and s_j += G_jj²:
 * all squared column norms of G = XᵀX from half of its entries, for X of ones.
 *
 * Nothing is ever cleared: the counts of column j stand on a base above all counts of earlier columns, so
 * max(count, base) reads an old count as zero. And (v + 1)² − v² = 2v + 1 adds the square as the count grows, so
 * no list of touched rows is needed. `stride` > every G_jj. The thread's
 * scratch holds n tallies, zero before and after, and then its s (I64[n]); these are integers, so that the
 * threads' sums add up to the same whoever took which block.
 */
export function norms(task: i32, tallies: usize, x: Interactions, bounds: I32s, stride: i32): void {
  const n = x.items;
  const Xp = x.indptr, Xi = x.positions, Cp = x.columns, Cu = x.user, Cr = x.rest;
  const s = changetype<I64s>(tallies + ((<usize>n) << 3));
  let base = 0;
  let growth: i64 = 0; // no squares have passed this since they were last moved to s
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    const d = <i64>(Cp[j + 1] - Cp[j]);
    growth += d * d;
    if (base > i32.MAX_VALUE - 2 * stride || growth > <i64>u32.MAX_VALUE) {
      flush(n, tallies, s);
      base = 0;
      growth = d * d;
    }
    base += stride;
    let own = d * d;
    for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) {
      for (let k = Cr[e], end = Xp[Cu[e] + 1]; k < end; k++) {
        const t = at<Tally>(tallies, Xi[k]);
        const v = max(t.count, base);
        t.count = v + 1;
        const step = ((v - base) << 1) + 1;
        t.squares += step;
        own += step;
      }
    }
    s[j] += own;
  }
  flush(n, tallies, s);
}

// s += squares; tallies := 0
function flush(n: i32, tallies: usize, s: I64s): void {
  for (let i = 0; i < n; i++) s[i] += at<Tally>(tallies, i).squares;
  memory.fill(tallies, 0, (<usize>n) << 3);
}
