import { keyOf, largest, least, rowOf } from './select';
import { ascending } from './sort';
import { F32s, F64s, from, I32s, U64s, View } from './views';

/** Row i of the matrix under elimination: what is left of its diagonal, and its scale. Side by side: they are read together. */
@unmanaged
class Row {
  d: f64;
  t: f64; // < 0 while the row has an update that the column's entry has not met
}

/** An incomplete factorization under way: L so far and its workspace, all by position. */
@unmanaged
export class Icf {
  n: i32;
  p: i32; // entries of L so far
  column: i32; // columns eliminated so far
  pivot: f64; // the pivot ≤ 0 of a breakdown
  budget: f64; // entries of L at most; may pass n(n + 1)/2
  Lp: I32s;
  Li: I32s;
  Lx: F32s;
  rows: usize; // Row[n]
  first: I32s; // first entry of column k of L at or below the current row
  head: I32s; // columns whose first entry is in row i …
  next: I32s; // … as a linked list, −1 at its end
  y: F64s; // updates and candidates of the current column
  filled: I32s; // rows with an update
  keys: U64s; // candidates, room for 2 n + 64
}

@inline
function rowAt(rows: usize, i: i32): Row {
  return changetype<Row>(rows + ((<usize>i) << 4));
}

// A double no larger than any whose float32 magnitude reaches that of the key.
@inline
function barOf(key: u64): f64 {
  const magnitude = <u32>(key >> 32);
  return magnitude > 0 ? <f64>reinterpret<f32>(magnitude - 1) : 0;
}

@inline
function enlist(f: Icf, k: i32): void {
  const e = f.first[k];
  if (e == f.Lp[k + 1]) return;
  const i = f.Li[e];
  f.next[k] = f.head[i];
  f.head[i] = k;
}

// y := −Σ_k L[j+1:, k] L_jk over the columns k with an entry in row j; its rows are marked by a negative t
function updates(f: Icf, j: i32): i32 {
  const Lp = f.Lp, Li = f.Li, Lx = f.Lx, rows = f.rows, y = f.y, filled = f.filled;
  let count = 0;
  for (let k = f.head[j], after = 0; k != -1; k = after) {
    after = f.next[k];
    const e = f.first[k];
    f.first[k] = e + 1;
    const l = <f64>Lx[e];
    for (let q = e + 1, end = Lp[k + 1]; q < end; q++) {
      const i = Li[q];
      const row = rowAt(rows, i);
      if (row.t > 0) {
        row.t = -row.t;
        y[i] = 0;
        filled[count++] = i;
      }
      y[i] -= l * <f64>Lx[q];
    }
    enlist(f, k);
  }
  return count;
}

/**
 * Two packed entries at a time, from e on, as long as neither is a candidate or has an update: d_i −= (a_i / d_j)². Returns
 * the first entry not done. A row is one vector (d, t); a column has no row twice, so pairs do not meet.
 */
@inline
function plain(rows: usize, words: I32s, e: i32, count: i32, shift: i32, tj: f64, scale: f64, bar: f64): i32 {
  const mask = (1 << shift) - 1;
  const tjs = f64x2.splat(tj), scales = f64x2.splat(scale), bars = f64x2.splat(bar), zeros = f64x2.splat(0);
  for (const end = count - 1; e < end; e += 2) {
    const p = changetype<usize>(rowAt(rows, words[e] & mask));
    const q = changetype<usize>(rowAt(rows, words[e + 1] & mask));
    const both = v128.load64_zero(changetype<usize>(from(words, e)));
    const g = f64x2.convert_low_i32x4_u(i32x4.shr_u(both, shift));
    const v = v128.load(p), w = v128.load(q);
    const t = v128.shuffle<f64>(v, w, 1, 3);
    const a = f64x2.mul(f64x2.mul(g, t), tjs);
    if (v128.any_true(v128.or(f64x2.ge(a, bars), f64x2.lt(a, zeros)))) break;
    const l = f64x2.mul(a, scales);
    const d = f64x2.sub(v128.shuffle<f64>(v, w, 0, 2), f64x2.mul(l, l));
    v128.store_lane<f64>(p, d, 0);
    v128.store_lane<f64>(q, d, 1);
  }
  return e;
}

/**
 * One column of the incomplete Cholesky factor with limited memory, L Lᵀ ≈ A, left-looking (Lin & Moré 1999, §2):
 * A_ij = t_i t_j G_ij, with G[j+1:, j] given as `count` positions and values > 0. Of the updated column the
 * ⌊(budget − p)/(n − j)⌋ largest are kept, as float32 magnitudes and then by smaller row; every entry, kept or
 * not, lowers the diagonal of its row. False when the pivot is not positive.
 *
 * With V an integer there are no values: they are packed with the positions, above `shift` bits.
 * One pass over the column does it: a row with an update shows by its sign, and whatever passes the least of
 * the best so far is a candidate. Both are rare.
 */
@inline
function eliminate<V>(f: Icf, j: i32, indices: I32s, values: View<V>, count: i32, shift: i32): bool {
  const mask = (1 << shift) - 1;
  const n = f.n, rows = f.rows, y = f.y, filled = f.filled, keys = f.keys;
  const touched = updates(f, j);
  const pivot = rowAt(rows, j).d;
  if (!(pivot > 0)) {
    f.pivot = pivot;
    return false;
  }
  const tj = rowAt(rows, j).t;
  const dj = Math.sqrt(pivot);
  const scale = 1 / dj;
  const left = f.budget - <f64>f.p;
  const columns = <f64>(n - j); // the diagonal of each must still fit
  const quota = <i32>max(0, min(min(Math.floor(left / columns), left - columns), columns));
  const room = 2 * quota + 32;
  let candidates = 0;
  let floor: u64 = quota > 0 ? 0 : u64.MAX_VALUE; // keys below are out
  let bar: f64 = quota > 0 ? 0 : Infinity; // values below are out

  for (let e = 0; e < count; ) {
    if (isInteger<V>()) e = plain(rows, indices, e, count, shift, tj, scale, bar);
    for (const end = min(count, e + 2); e < end; e++) {
      const word = indices[e];
      const i = isInteger<V>() ? word & mask : word;
      const row = rowAt(rows, i);
      let a = (isInteger<V>() ? <f64>(word >>> shift) : <f64>values[e]) * row.t * tj;
      if (a >= bar || a < 0) {
        if (a < 0) {
          a = y[i] - a;
          row.t = -row.t;
        }
        const key = keyOf(<f32>abs(a), i);
        if (key > floor) {
          y[i] = a;
          keys[candidates++] = key;
          if (candidates == room) {
            largest<u64>(keys, candidates, quota);
            candidates = quota;
            floor = least(keys, quota);
            bar = barOf(floor);
          }
        }
      }
      const l = a * scale;
      row.d -= l * l;
    }
  }

  // fill-in: updated rows that G[:, j] does not have
  for (let e = 0; e < touched; e++) {
    const i = filled[e];
    const row = rowAt(rows, i);
    if (row.t > 0) continue;
    row.t = -row.t;
    const a = y[i];
    const key = keyOf(<f32>abs(a), i);
    if (key > floor) {
      keys[candidates++] = key;
      if (candidates == room) {
        largest<u64>(keys, candidates, quota);
        candidates = quota;
        floor = least(keys, quota);
      }
    }
    const l = a * scale;
    row.d -= l * l;
  }

  if (candidates > quota) {
    if (quota > 0) largest<u64>(keys, candidates, quota);
    candidates = quota;
  }
  append(f, j, dj, candidates);
  return true;
}

// L_jj = d_j, L_ij = y_i / d_j for the rows i of the first `kept` keys
function append(f: Icf, j: i32, dj: f64, kept: i32): void {
  const Li = f.Li, Lx = f.Lx, y = f.y, keys = f.keys, rows = f.filled;
  let p = f.p;
  for (let e = 0; e < kept; e++) rows[e] = rowOf(keys[e]);
  ascending(rows, kept);
  Li[p] = j;
  Lx[p++] = <f32>dj;
  f.first[j] = p;
  for (let e = 0; e < kept; e++) {
    const i = rows[e];
    Li[p] = i;
    Lx[p++] = <f32>(y[i] / dj);
  }
  f.Lp[j + 1] = p;
  f.p = p;
  enlist(f, j);
}

// Eliminates columns lo … hi, column j at starts[j − lo]. False on breakdown at `f.column`.
function takeF64(f: Icf, lo: i32, hi: i32, starts: I32s, indices: I32s, values: F64s): bool {
  for (let j = lo; j < hi; j++) {
    const e = starts[j - lo];
    if (!eliminate<f64>(f, j, from(indices, e), from(values, e), starts[j - lo + 1] - e, 0)) return false;
    f.column = j + 1;
  }
  return true;
}

// As `takeF64`, for values that fit one word with their position: `position | value << shift`.
function takePacked(f: Icf, lo: i32, hi: i32, starts: I32s, words: I32s, shift: i32): bool {
  for (let j = lo; j < hi; j++) {
    const e = starts[j - lo];
    if (!eliminate<u32>(f, j, from(words, e), changetype<View<u32>>(0), starts[j - lo + 1] - e, shift)) return false;
    f.column = j + 1;
  }
  return true;
}

function take(f: Icf, lo: i32, hi: i32, starts: I32s, indices: I32s, values: F64s, shift: i32): bool {
  return shift > 0 ? takePacked(f, lo, hi, starts, indices, shift) : takeF64(f, lo, hi, starts, indices, values);
}

/** Index in the module's table of what eliminates the columns of a stream (see `consume`); its state: `Icf`. */
export function icfTake(): u32 {
  return take.index;
}
