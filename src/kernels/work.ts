import { Interactions } from './interactions';
import { F64s, I32s } from './views';

/** w_j = Σ_u |row u to the right of j|: the pairs that column j of the lower triangle sums up. */
export function pairsBelow(x: Interactions, w: F64s): void {
  const Xp = x.indptr, Cp = x.columns, Cu = x.user, Cr = x.rest;
  for (let j = 0, n = x.items; j < n; j++) {
    let pairs: i64 = 0;
    for (let e = Cp[j], last = Cp[j + 1]; e < last; e++) pairs += Xp[Cu[e] + 1] - Cr[e];
    w[j] = <f64>pairs;
  }
}

/**
 * Cuts 0 … n into consecutive blocks of at most `share` work and `width` indices, where index j costs w_j but
 * at least `least`; an index that costs more stands alone. Writes the bounds (room for n + 1) and returns the
 * number of blocks.
 */
export function blocks(n: i32, w: F64s, least: f64, share: f64, width: i32, bounds: I32s): i32 {
  let count = 0;
  let sum: f64 = 0;
  bounds[0] = 0;
  for (let j = 0; j < n; j++) {
    const cost = max(w[j], least);
    if (j > bounds[count] && (sum + cost > share || j - bounds[count] == width)) {
      bounds[++count] = j;
      sum = 0;
    }
    sum += cost;
  }
  if (n > 0) bounds[++count] = n;
  return count;
}
