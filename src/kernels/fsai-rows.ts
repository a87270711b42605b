import { Fsai } from './fsai';
import { descending } from './sort';
import { F32s, F64s, from, I32s, U64s } from './views';

/**
 * Rows of K̂ with their ones, rounded to float32, by ascending item: the r-th one of those that are there, bounds[task] ≤ r,
 * from starts[r − lo] on. `order` takes positions to items. Scratch: U64[m + 1].
 */
export function fsaiRows(
  task: i32, scratch: usize, f: Fsai, order: I32s, bounds: I32s, lo: i32, starts: I32s, items: I32s, values: F32s,
): void {
  const m = f.m;
  const keys = changetype<U64s>(scratch);
  for (let r = bounds[task], hi = bounds[task + 1]; r < hi; r++) {
    const P = from(f.pattern, r * m);
    const K = from(f.values, r * m);
    const s = f.counts[r];
    for (let x = 0; x < s; x++) keys[x] = keyOf(order[P[x]], <f32>K[x]);
    keys[s] = keyOf(order[f.first + r], 1);
    descending(keys, s + 1);
    for (let x = 0, at = starts[r - lo] + s; x <= s; x++, at--) {
      items[at] = <i32>(keys[x] >> 32);
      values[at] = reinterpret<f32>(<u32>keys[x]);
    }
  }
}

@inline
function keyOf(item: i32, value: f32): u64 {
  return ((<u64>item) << 32) | <u64>reinterpret<u32>(value);
}

/** sums_i += K_ki² / D_k and counts_i += 1 for the entries of the next rows of K, which begin at `starts`. */
export function rowScales(
  rows: i32, starts: I32s, items: I32s, values: F32s, D: F64s, sums: F64s, counts: I32s,
): void {
  for (let k = 0; k < rows; k++) {
    for (let e = starts[k], end = starts[k + 1]; e < end; e++) {
      const i = items[e];
      sums[i] += <f64>values[e] * <f64>values[e] / D[k];
      counts[i] += 1;
    }
  }
}

/** Z_ki = −K_ki / (D_k Σ_k K_ki² / D_k) in the place of rows of K; see `decoder`. */
export function scaleRows(rows: i32, starts: I32s, items: I32s, values: F32s, D: F64s, sums: F64s): void {
  for (let k = 0; k < rows; k++) {
    for (let e = starts[k], end = starts[k + 1]; e < end; e++) {
      const scale = 1 / sums[items[e]];
      values[e] = <f32>(-<f64>values[e] / D[k] * scale);
    }
  }
}

/**
 * Puts the entries of the columns lo … hi among the next rows of K, the first one being row `first`, behind those of
 * the rows before: that of column i at next[i − lo].
 */
export function rowsByColumn(
  first: i32, rows: i32, starts: I32s, items: I32s, values: F32s, lo: i32, hi: i32, next: I32s, Wi: I32s, Wx: F32s,
): void {
  const width = <u32>(hi - lo);
  for (let k = 0; k < rows; k++) {
    for (let e = starts[k], end = starts[k + 1]; e < end; e++) {
      const c = items[e] - lo;
      if (<u32>c >= width) continue;
      const p = next[c];
      next[c] = p + 1;
      Wi[p] = first + k;
      Wx[p] = values[e];
    }
  }
}
