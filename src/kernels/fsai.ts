import { Best, bestAt, offer } from './best';
import { ascending } from './sort';
import { Visitor } from './sweep';
import { clear, F64s, from, I32s, View } from './views';

/**
 * A factorized sparse approximate inverse of A = G + λI under way, items by position in ascending G_jj. Row j of K̂ has
 * the pattern P_j ∪ {j}; P_j holds `counts` ≤ m positions > j, descending. The rows `first` … `first + rows` are there, and
 * row j is the r-th of them, r = j − first: its pattern is at r·m of `pattern`, and `values` has at the same place first
 * G_ij, then K̂_ji.
 */
@unmanaged
export class Fsai {
  n: i32;
  m: i32;
  counts: I32s;
  pattern: I32s;
  values: F64s;
  diagonal: F64s; // G_jj, of all
  reach: F64s; // G_ii^(−α), of all
  reachOfItems: F64s; // the same by item
  pivots: F64s; // D_j
  first: i32;
  rows: i32;
}

/** Where the blocks A[P_j, P_j] of the rows lo … hi are collected: strictly lower triangles by rows, all but the last row. */
@unmanaged
export class Blocks {
  f: Fsai;
  lo: i32;
  hi: i32;
  wide: i32; // f64, else i32
  entries: usize; // m(m − 1)/2 a row
  starts: I32s; // the places r·m + x of column i in the patterns are starts[i] … starts[i + 1] of `places`
  places: I32s;
}

// P_j := what `best` holds, descending
@inline
function settle(f: Fsai, j: i32, best: Best): I32s {
  const count = best.length, r = j - f.first;
  const P = from(f.pattern, r * f.m);
  ascending(best.index, count);
  for (let x = 0; x < count; x++) P[x] = best.index[count - 1 - x];
  f.counts[r] = count;
  return P;
}

/**
 * The m rows i > j with the largest G_ij G_ii^(−α), ties to the more popular item, become P_j, with their G_ij. A visitor
 * of a listed sweep; `tail` has room for a `Best`.
 */
@inline
function select<A>(v: Visitor, a: View<A>, list: I32s, count: i32, base: A, tail: usize, j: i32): void {
  const f = changetype<Fsai>(v.state);
  const m = f.m, reach = f.reach;
  const best = bestAt(tail, m);
  let bar: f64 = 0;
  for (let e = 0; e < count; e++) {
    const i = list[e];
    const key = <f64>(a[i] - base) * reach[i];
    if (key < bar) continue;
    offer(best, m, key, i);
    if (best.length == m) bar = best.key[0];
  }
  const P = settle(f, j, best);
  const values = from(f.values, (j - f.first) * m);
  for (let y = 0; y < best.length; y++) values[y] = <f64>(a[P[y]] - base);
}
function selectI32(v: Visitor, a: View<i32>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  select<i32>(v, a, list, count, <i32>base, tail, j);
}
function selectI64(v: Visitor, a: View<i64>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  select<i64>(v, a, list, count, base, tail, j);
}
/**
 * As `select`, of listed items and values, which are used up: what was offered moves to the back. Items ascend and older
 * ones tend to be more popular, so that from the back the keys of equal sums fall, and few are offered in vain.
 */
function selectF64(v: Visitor, a: F64s, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  const f = changetype<Fsai>(v.state);
  const m = f.m, reach = f.reachOfItems, place = v.place;
  const best = bestAt(tail, m);
  let bar: f64 = 0;
  let offers = count;
  for (let e = count - 1; e >= 0; e--) {
    const value = a[e];
    const key = value * reach[list[e]];
    if (key < bar) continue;
    const i = place[list[e]];
    if (i <= j) continue;
    offer(best, m, key, i);
    if (best.length == m) bar = best.key[0];
    list[--offers] = i;
    a[offers] = value;
  }
  const P = settle(f, j, best);
  const values = from(f.values, (j - f.first) * m);
  for (let e = offers; e < count; e++) {
    if (a[e] * f.reach[list[e]] < bar) continue;
    const y = placeOf(list[e], P, best.length);
    if (y >= 0) values[y] = a[e];
  }
}

// y with P[y] = i in a list that descends, or −1
@inline
function placeOf(i: i32, P: I32s, count: i32): i32 {
  let lo = 0, hi = count;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (P[middle] > i) lo = middle + 1;
    else hi = middle;
  }
  return lo < count && P[lo] == i ? lo : -1;
}

/** Lists the places of each column in the patterns of the rows lo … hi; `starts` has room for n + 2. Returns how many. */
export function fsaiPlaces(b: Blocks): i32 {
  const f = b.f;
  const n = f.n, m = f.m, P = f.pattern, starts = b.starts, places = b.places;
  const lo = b.lo - f.first, hi = b.hi - f.first;
  clear(starts, n + 2);
  for (let r = lo; r < hi; r++) {
    // the least popular one of a pattern has nothing below it
    for (let e = r * m + 1, end = r * m + f.counts[r]; e < end; e++) starts[P[e] + 2] += 1;
  }
  for (let i = 0; i < n; i++) starts[i + 2] += starts[i + 1];
  for (let r = lo; r < hi; r++) {
    for (let e = r * m + 1, end = r * m + f.counts[r]; e < end; e++) {
      const p = starts[P[e] + 1];
      starts[P[e] + 1] = p + 1;
      places[p] = e;
    }
  }
  return starts[n];
}

// A[P_j, P_j] of row j
@inline
export function blockOf(f: Fsai, b: Blocks, j: i32): usize {
  const size = <usize>((f.m * (f.m - 1)) >> 1);
  return b.entries + <usize>(j - b.lo) * size * (b.wide ? 8 : 4);
}

// A[P_j][x][y] := G_ik for every place x of column i in a pattern P_j and every k = P_j[y], y < x
@inline
function spread<A>(v: Visitor, i: i32, a: View<A>, base: A): void {
  const b = changetype<Blocks>(v.state);
  const f = b.f, order = v.order;
  const m = f.m;
  for (let e = b.starts[i], end = b.starts[i + 1]; e < end; e++) {
    const place = b.places[e];
    const r = place / m;
    const x = place - r * m;
    const P = from(f.pattern, r * m);
    const row = (x * (x - 1)) >> 1;
    const block = blockOf(f, b, f.first + r);
    for (let y = 0; y < x; y++) {
      const sum = max(a[isFloat<A>() ? order[P[y]] : P[y]], base) - base;
      if (b.wide) changetype<F64s>(block)[row + y] = <f64>sum;
      else changetype<I32s>(block)[row + y] = <i32>sum;
    }
  }
}

// Column i of G goes to wherever the patterns need its entries: a visitor of a sweep without lists.
function gathers(v: Visitor, i: i32): bool {
  const starts = changetype<Blocks>(v.state).starts;
  return starts[i] != starts[i + 1];
}
function gatherI32(v: Visitor, a: View<i32>, list: I32s, count: i32, base: i64, tail: usize, i: i32): void {
  spread<i32>(v, i, a, <i32>base);
}
function gatherI64(v: Visitor, a: View<i64>, list: I32s, count: i32, base: i64, tail: usize, i: i32): void {
  spread<i64>(v, i, a, base);
}
function gatherF64(v: Visitor, a: F64s, list: I32s, count: i32, base: i64, tail: usize, i: i32): void {
  spread<f64>(v, i, a, <f64>base);
}

// The rows that are there: columns of a sweep that selects a range of patterns.
function selects(v: Visitor, j: i32): bool {
  const f = changetype<Fsai>(v.state);
  return <u32>(j - f.first) < <u32>f.rows;
}

/** Index in the module's table of what selects patterns, for sums of a width: 0 i32, 1 i64, 2 f64. Its state: `Fsai`. */
export function fsaiSelect(width: i32): u32 {
  return width == 0 ? selectI32.index : width == 1 ? selectI64.index : selectF64.index;
}

/** As `fsaiSelect` for what fills the blocks; its state: `Blocks`. */
export function fsaiGather(width: i32): u32 {
  return width == 0 ? gatherI32.index : width == 1 ? gatherI64.index : gatherF64.index;
}

/** Index in the module's table of the columns that `fsaiGather` wants. */
export function fsaiGathers(): u32 {
  return gathers.index;
}

/** Index in the module's table of the columns that `fsaiSelect` wants where not all rows are there. */
export function fsaiSelects(): u32 {
  return selects.index;
}
