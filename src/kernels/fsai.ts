import { Best, bestAt, offer, worse } from './best';
import { below } from './sort';
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
  farthest: F64s; // the reach of each 64th position
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

// P_j, which is what `best` holds, descending: i and its entry of G come behind all that are larger
@inline
function settle(f: Fsai, j: i32, best: Best, i: i32, value: f64): void {
  const at = (j - f.first) * f.m + best.length - 1 - below(best.index, best.length, i);
  f.pattern[at] = i;
  f.values[at] = value;
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
  for (let x = 0; x < best.length; x++) settle(f, j, best, best.index[x], <f64>(a[best.index[x]] - base));
  f.counts[j - f.first] = best.length;
}
function selectI32(v: Visitor, a: View<i32>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  select<i32>(v, a, list, count, <i32>base, tail, j);
}
function selectI64(v: Visitor, a: View<i64>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  select<i64>(v, a, list, count, base, tail, j);
}
/** Entries that are compared with a bar before it is raised. */
const BLOCK: i32 = 64;

/**
 * As `select`, of listed items and values, which are used up: what is still in question moves to the front, block by block.
 * Reach falls with the position, so most values are too small wherever behind j their row is, and of the others most are
 * for the first of 64 positions.
 */
function selectF64(v: Visitor, a: F64s, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  const f = changetype<Fsai>(v.state);
  const m = f.m, reach = f.reach, farthest = f.farthest, place = v.place, most = reach[j];
  const best = bestAt(tail, m);
  let bar: f64 = 0;
  let offers = 0;
  for (let e = 0; e < count; ) {
    let end = offers;
    for (const next = min(count, e + BLOCK); e < next; e++) {
      const value = a[e];
      a[end] = value;
      list[end] = list[e];
      end += i32(value * most >= bar);
    }
    let near = offers;
    for (let x = offers; x < end; x++) {
      const value = a[x], i = place[list[x]];
      a[near] = value;
      list[near] = i;
      near += i32(i > j) & i32(value * farthest[i >> 6] >= bar);
    }
    for (let x = offers; x < near; x++) {
      const value = a[x], i = list[x];
      const key = value * reach[i];
      if (key < bar) continue;
      offer(best, m, key, i);
      if (best.length == m) bar = best.key[0];
      list[offers] = i;
      a[offers++] = value;
    }
  }
  const full = best.length == m;
  for (let x = 0; x < offers; x++) {
    const value = a[x], i = list[x];
    if (full && worse(value * reach[i], i, bar, best.index[0])) continue;
    settle(f, j, best, i, value);
  }
  f.counts[j - f.first] = best.length;
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
