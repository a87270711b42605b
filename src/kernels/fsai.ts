import { Best, bestAt, offer } from './best';
import { column } from './columns';
import { Interactions } from './interactions';
import { ascending } from './sort';
import { clear, F32s, F64s, from, I32s, View } from './views';

/**
 * A factorized sparse approximate inverse of A = G + λI under way, items by position in ascending G_jj. Row j of K̂ has
 * the pattern P_j ∪ {j}; P_j holds `counts[j]` ≤ m positions > j, descending, at j·m of `pattern`, and `values` at the
 * same place first G_ij, then K̂_ji.
 */
@unmanaged
export class Fsai {
  n: i32;
  m: i32;
  counts: I32s;
  pattern: I32s;
  values: F64s;
  diagonal: F64s; // G_jj
  reach: F64s; // G_ii^(−α)
  pivots: F64s; // D_j
}

/** Where the blocks A[P_j, P_j] of the rows lo … hi are collected: strictly lower triangles by rows, all but the last row. */
@unmanaged
export class Blocks {
  lo: i32;
  hi: i32;
  wide: i32; // f64, else i32
  entries: usize; // m(m − 1)/2 a row
  starts: I32s; // the places j·m + x of column i in the patterns are starts[i] … starts[i + 1] of `places`
  places: I32s;
}

// kinds of X: + 4 where sums need 64 bits
const WEIGHTED = 1;
const VALUED = 2;

// P_j := what `best` holds, descending
@inline
function settle(f: Fsai, j: i32, best: Best): I32s {
  const count = best.length;
  const P = from(f.pattern, j * f.m);
  ascending(best.index, count);
  for (let x = 0; x < count; x++) P[x] = best.index[count - 1 - x];
  f.counts[j] = count;
  return P;
}

/** Sums of a thread that stand on a base (see `columns`): the base, then n sums, a list of touched rows and a `Best`. */
@inline
function advance<A>(scratch: usize, n: i32, stride: A): A {
  let base = load<A>(scratch);
  if (base > ((<A>1) << (sizeof<A>() * 8 - 2)) - stride) {
    clear(changetype<View<A>>(scratch + 64), n);
    base = 0;
  }
  base += stride;
  store<A>(scratch, base);
  return base;
}

@inline
function select<A>(
  task: i32, scratch: usize, f: Fsai, x: Interactions, bounds: I32s, stride: A, weighted: bool, valued: bool,
): void {
  const n = f.n, m = f.m, reach = f.reach;
  const a = changetype<View<A>>(scratch + 64);
  const list = changetype<I32s>(changetype<usize>(a) + <usize>n * sizeof<A>());
  const best = bestAt((changetype<usize>(from(list, n + 16)) + 63) & ~63, m);
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    const base = advance<A>(scratch, n, stride);
    const count = column<A>(x, j, base, a, list, weighted, valued);
    best.length = 0;
    let bar: f64 = 0;
    for (let e = 0; e < count; e++) {
      const i = list[e];
      const key = <f64>(a[i] - base) * reach[i];
      if (key < bar) continue;
      offer(best, m, key, i);
      if (best.length == m) bar = best.key[0];
    }
    const P = settle(f, j, best);
    const values = from(f.values, j * m);
    for (let y = 0; y < f.counts[j]; y++) values[y] = <f64>(a[P[y]] - base);
  }
}

/**
 * P_j for a block of columns of G = XᵀWX: the m rows i > j with the largest G_ij G_ii^(−α), ties to the more popular
 * item, and their G_ij. `kind` says what X is, see below. Scratch: zero before the first column.
 */
export function fsaiSelect(
  task: i32, scratch: usize, f: Fsai, x: Interactions, bounds: I32s, stride: f64, kind: i32,
): void {
  if (kind == 0) select<i32>(task, scratch, f, x, bounds, <i32>stride, false, false);
  else if (kind == WEIGHTED) select<i32>(task, scratch, f, x, bounds, <i32>stride, true, false);
  else if (kind == VALUED) select<i32>(task, scratch, f, x, bounds, <i32>stride, false, true);
  else if (kind == (WEIGHTED | VALUED)) select<i32>(task, scratch, f, x, bounds, <i32>stride, true, true);
  else select<i64>(task, scratch, f, x, bounds, <i64>stride, (kind & WEIGHTED) != 0, (kind & VALUED) != 0);
}

/** Lists the places of each column in the patterns of the rows lo … hi; `starts` has room for n + 2. Returns how many. */
export function fsaiPlaces(f: Fsai, b: Blocks): i32 {
  const n = f.n, m = f.m, P = f.pattern, starts = b.starts, places = b.places;
  clear(starts, n + 2);
  for (let j = b.lo; j < b.hi; j++) {
    // the least popular one of a pattern has nothing below it
    for (let e = j * m + 1, end = j * m + f.counts[j]; e < end; e++) starts[P[e] + 2] += 1;
  }
  for (let i = 0; i < n; i++) starts[i + 2] += starts[i + 1];
  for (let j = b.lo; j < b.hi; j++) {
    for (let e = j * m + 1, end = j * m + f.counts[j]; e < end; e++) {
      const p = starts[P[e] + 1];
      starts[P[e] + 1] = p + 1;
      places[p] = e;
    }
  }
  return starts[n];
}

@inline
function blockOf(f: Fsai, b: Blocks, j: i32): usize {
  const size = <usize>((f.m * (f.m - 1)) >> 1);
  return b.entries + <usize>(j - b.lo) * size * (b.wide ? 8 : 4);
}

// A[P_j][x][y] := G_ik for every place x of column i in a pattern P_j and every k = P_j[y], y < x
@inline
function spread<A>(f: Fsai, b: Blocks, i: i32, a: View<A>, base: A): void {
  const m = f.m;
  for (let e = b.starts[i], end = b.starts[i + 1]; e < end; e++) {
    const place = b.places[e];
    const j = place / m;
    const x = place - j * m;
    const P = from(f.pattern, j * m);
    const row = (x * (x - 1)) >> 1;
    const block = blockOf(f, b, j);
    if (b.wide) {
      const A = from(changetype<F64s>(block), row);
      for (let y = 0; y < x; y++) A[y] = <f64>(max(a[P[y]], base) - base);
    } else {
      const A = from(changetype<I32s>(block), row);
      for (let y = 0; y < x; y++) A[y] = <i32>(max(a[P[y]], base) - base);
    }
  }
}

@inline
function gather<A>(
  task: i32, scratch: usize, f: Fsai, b: Blocks, x: Interactions, bounds: I32s, stride: A, weighted: bool, valued: bool,
): void {
  const a = changetype<View<A>>(scratch + 64);
  for (let i = bounds[task], hi = bounds[task + 1]; i < hi; i++) {
    if (b.starts[i] == b.starts[i + 1]) continue;
    const base = advance<A>(scratch, f.n, stride);
    column<A>(x, i, base, a, changetype<I32s>(0), weighted, valued, false);
    spread<A>(f, b, i, a, base);
  }
}

/** Carries a block of columns of G = XᵀWX to wherever the patterns need their entries; scratch as in `fsaiSelect`. */
export function fsaiGather(
  task: i32, scratch: usize, f: Fsai, b: Blocks, x: Interactions, bounds: I32s, stride: f64, kind: i32,
): void {
  if (kind == 0) gather<i32>(task, scratch, f, b, x, bounds, <i32>stride, false, false);
  else if (kind == WEIGHTED) gather<i32>(task, scratch, f, b, x, bounds, <i32>stride, true, false);
  else if (kind == VALUED) gather<i32>(task, scratch, f, b, x, bounds, <i32>stride, false, true);
  else if (kind == (WEIGHTED | VALUED)) gather<i32>(task, scratch, f, b, x, bounds, <i32>stride, true, true);
  else gather<i64>(task, scratch, f, b, x, bounds, <i64>stride, (kind & WEIGHTED) != 0, (kind & VALUED) != 0);
}

/** Consecutive columns of G by item: item `first + c` has `lengths[c]` entries from `starts[c]` on, rows by item. */
@unmanaged
export class ItemColumns {
  first: i32;
  wide: i32; // values f64, else i32
  positions: I32s; // of items
  starts: I32s; // one more than there are columns
  indices: I32s;
  values: usize;
}

@inline
function valueOf(c: ItemColumns, e: i32): f64 {
  return c.wide ? changetype<F64s>(c.values)[e] : <f64>changetype<I32s>(c.values)[e];
}

/** As `fsaiSelect` for columns of a stored G. Scratch: n sums of 8 bytes on a base of 64, a `Best`. */
export function fsaiSelectStored(task: i32, scratch: usize, f: Fsai, c: ItemColumns, bounds: I32s): void {
  const m = f.m, reach = f.reach, place = c.positions;
  const a = changetype<F64s>(scratch + 64);
  const best = bestAt((changetype<usize>(from(a, f.n)) + 63) & ~63, m);
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = place[c.first + k];
    best.length = 0;
    let bar: f64 = 0;
    for (let e = c.starts[k], end = c.starts[k + 1]; e < end; e++) {
      const i = place[c.indices[e]];
      if (i <= j) continue;
      a[i] = valueOf(c, e);
      const key = a[i] * reach[i];
      if (key < bar) continue;
      offer(best, m, key, i);
      if (best.length == m) bar = best.key[0];
    }
    const P = settle(f, j, best);
    const values = from(f.values, j * m);
    for (let y = 0; y < f.counts[j]; y++) values[y] = a[P[y]];
  }
}

/** As `fsaiGather` for columns of a stored G; the sums in scratch are zero before and after. */
export function fsaiGatherStored(task: i32, scratch: usize, f: Fsai, b: Blocks, c: ItemColumns, bounds: I32s): void {
  const place = c.positions;
  const a = changetype<F64s>(scratch + 64);
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const i = place[c.first + k];
    if (b.starts[i] == b.starts[i + 1]) continue;
    for (let e = c.starts[k], end = c.starts[k + 1]; e < end; e++) a[place[c.indices[e]]] = valueOf(c, e);
    spread<f64>(f, b, i, a, 0);
    for (let e = c.starts[k], end = c.starts[k + 1]; e < end; e++) a[place[c.indices[e]]] = 0;
  }
}

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
export function fsaiSolve(task: i32, scratch: usize, f: Fsai, b: Blocks, bounds: I32s, lambda: f64): void {
  const m = f.m, width = m + 1;
  const L = changetype<F64s>(scratch);
  const y = from(L, width * width);
  for (let j = b.lo + bounds[task], hi = b.lo + bounds[task + 1]; j < hi; j++) {
    const s = f.counts[j];
    const P = from(f.pattern, j * m);
    const values = from(f.values, j * m);
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
      if (x == s) f.pivots[j] = pivot;
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

/** K̂ by columns, rows ascending, from its rows; `Kp` has room for n + 1, the arrays for n + Σ counts. */
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
