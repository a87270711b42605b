import { bestAt, offer } from './best';
import { normalize } from './dense-row';
import { SIDE } from './dense-tile';
import { ascending } from './sort';
import { F32s, from, I32s } from './views';

/**
 * A_i := the k entries of largest magnitude of W_i, normalised, for 64 rows: at i · k of `indices` and `values`, columns ascending; ties
 * go to the larger column. Where W_i has fewer, zeros in column 0 fill the row up. Scratch: a `Best` of k.
 */
export function prune(
  task: i32, scratch: usize, rows: i32, W: usize, width: i32, k: i32, indices: I32s, values: F32s,
): void {
  const stride = <usize>width << 2;
  for (let i = task * SIDE, end = min(rows, i + SIDE); i < end; i++) {
    const w = changetype<F32s>(W + <usize>i * stride);
    const best = bestAt(scratch, k);
    let bar: f64 = 0;
    for (let c = 0; c < width; c++) {
      const size = <f64>abs(w[c]);
      if (size <= 0 || size < bar) continue;
      offer(best, k, size, c);
      if (best.length == k) bar = best.key[0];
    }
    let square: f64 = 0;
    for (let e = 0; e < best.length; e++) square += best.key[e] * best.key[e];
    const norm = square > 0 ? 1 / sqrt(square) : 0;
    ascending(best.index, best.length);
    const to = from(indices, i * k), x = from(values, i * k);
    for (let e = 0; e < k; e++) {
      const there = e < best.length;
      to[e] = there ? best.index[e] : 0;
      x[e] = there ? <f32>(norm * <f64>w[best.index[e]]) : 0;
    }
  }
}

/** Rows of A of unit norm, or zero where they are, 64 of them. */
export function normalizeRows(task: i32, scratch: usize, rows: i32, A: usize, width: i32): void {
  const stride = <usize>width << 2;
  for (let i = task * SIDE, end = min(rows, i + SIDE); i < end; i++) {
    const a = A + <usize>i * stride;
    normalize(a, a, stride);
  }
}
