import { bestAt, offer, worse } from './best';
import { raised } from './columns';
import { Columns } from './outer';
import { unpack, unpackBehind } from './segment-code';
import { Visitor } from './sweep';
import { F64s, from, I32s } from './views';

/**
 * Columns of the segments whose sum is G, encoded: the k-th one of segment s has counts[s · width + k] entries from the
 * address at[s · width + k] on. A thread's scratch holds `most` rows and values of a result from its start on, and behind
 * that what the offsets say.
 */
@unmanaged
export class Encoded {
  segments: i32;
  width: i32;
  first: i32; // item or position of column 0
  tables: usize; // see `lengthTables`
  positions: I32s; // of items
  limits: I32s; // by position: the last item of a position behind it
  at: I32s;
  counts: I32s;
  most: i32; // entries of a column at most, with some to spare
  dense: i32; // offset of a base and n sums, as `sweepSums` has them
  buffers: i32; // offset of a column, or of three where there are several segments
  tail: i32; // offset of a visitor's scratch
}

/** Rows ascending, values as they are. */
@unmanaged
class Column {
  count: i32;
  rows: I32s;
  values: F64s;
}

@inline
function layOut(at: usize, most: i32): Column {
  const c = changetype<Column>(at);
  c.count = 0;
  c.values = changetype<F64s>(at + 64);
  c.rows = changetype<I32s>(from(c.values, most));
  return c;
}

@inline
function bytesOf(most: i32): usize {
  return 64 + 12 * <usize>most;
}

@inline
function valuesOf(scratch: usize): F64s {
  return changetype<F64s>(scratch);
}

@inline
function rowsOf(scratch: usize, E: Encoded): I32s {
  return changetype<I32s>(from(valuesOf(scratch), E.most));
}

// to := a + b without zeros
function add(a: Column, b: Column, to: Column): void {
  const Ai = a.rows, Av = a.values, Bi = b.rows, Bv = b.values, Ti = to.rows, Tv = to.values;
  const m = a.count, n = b.count;
  let x = 0, y = 0, c = 0;
  while (x < m && y < n) {
    const i = Ai[x], k = Bi[y];
    const v = (i <= k ? Av[x] : 0) + (k <= i ? Bv[y] : 0);
    Ti[c] = min(i, k);
    Tv[c] = v;
    c += i32(v != 0);
    x += i32(i <= k);
    y += i32(k <= i);
  }
  for (; x < m; x++, c++) {
    Ti[c] = Ai[x];
    Tv[c] = Av[x];
  }
  for (; y < n; y++, c++) {
    Ti[c] = Bi[y];
    Tv[c] = Bv[y];
  }
  to.count = c;
}

/** Σ_s of column k up to row `limit` at least, from the newest segment, which is the smallest, to the oldest. */
function summed(E: Encoded, k: i32, limit: i32, buffers: usize): Column {
  let sum = layOut(buffers, E.most);
  let part = layOut(buffers + bytesOf(E.most), E.most);
  let next = layOut(buffers + 2 * bytesOf(E.most), E.most);
  for (let s = E.segments - 1; s >= 0; s--) {
    const c = s * E.width + k;
    const count = E.counts[c];
    if (count == 0) continue;
    const p = <usize><u32>E.at[c];
    const empty = sum.count == 0;
    const to = empty ? sum : part;
    to.count = unpack(E.tables, p, count, limit, to.rows, to.values);
    if (empty) continue;
    add(sum, part, next);
    const freed = sum;
    sum = next;
    next = freed;
  }
  return sum;
}

/** G[:, item] of column k, rows as items up to `limit` at least. */
@inline
function columnOf(E: Encoded, k: i32, limit: i32, scratch: usize): Column {
  const buffers = scratch + E.buffers;
  if (E.segments != 1) return summed(E, k, limit, buffers);
  const column = layOut(buffers, E.most);
  const count = E.counts[k];
  column.count = count == 0 ? 0 : unpack(E.tables, <usize><u32>E.at[k], count, limit, column.rows, column.values);
  return column;
}

/** G[j+1:, j] of position j, which is column k: positions and values, with one written ahead. Returns how many. */
export function lower(E: Encoded, k: i32, j: i32, scratch: usize, list: I32s, values: F64s): i32 {
  const column = columnOf(E, k, E.limits[j], scratch);
  const place = E.positions, rows = column.rows, from = column.values;
  let w = 0;
  for (let e = 0, count = column.count; e < count; e++) {
    const i = place[rows[e]];
    list[w] = i;
    values[w] = from[e];
    w += i32(i > j);
  }
  return w;
}

/**
 * As `lower`, packed as a ring wants it: `position | value << shift`. Of a single segment they are never unpacked before;
 * `list` and the start of the scratch have room for the others.
 */
export function lowerWords(E: Encoded, k: i32, j: i32, scratch: usize, list: I32s, shift: i32): i32 {
  if (E.segments == 1) {
    const count = E.counts[k];
    if (count == 0) return 0;
    const w = unpackBehind(E.tables, <usize><u32>E.at[k], count, E.limits[j], E.positions, j, shift, list);
    if (w >= 0) return w;
  }
  const values = valuesOf(scratch);
  const count = lower(E, k, j, scratch, list, values);
  for (let e = 0; e < count; e++) list[e] |= <i32>values[e] << shift;
  return count;
}

/** Hands `v` the columns bounds[task] … bounds[task + 1], each entry of which has a row and a value. */
export function sweepStored(task: i32, scratch: usize, v: Visitor, E: Encoded, bounds: I32s): void {
  const wants = v.wants, take = v.take;
  const tail = scratch + E.tail;
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = E.positions[E.first + k];
    if (wants != 0 && !call_indirect<bool>(wants, v, j)) continue;
    const c = columnOf(E, k, E.limits[j], scratch);
    call_indirect<void>(take, v, changetype<usize>(c.values), changetype<usize>(c.rows), c.count, <i64>0, tail, j);
  }
}

/** As `sweepStored`, with sums by row. `stride` is above every entry. Scratch: zero at first where `dense` says. */
export function sweepStoredSums(task: i32, scratch: usize, v: Visitor, E: Encoded, bounds: I32s, n: i32, stride: f64): void {
  const wants = v.wants, take = v.take;
  const tail = scratch + E.tail;
  const at = scratch + E.dense;
  const a = changetype<F64s>(at + 64);
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = E.positions[E.first + k];
    if (wants != 0 && !call_indirect<bool>(wants, v, j)) continue;
    const c = columnOf(E, k, E.limits[j], scratch);
    const rows = c.rows, values = c.values, count = c.count;
    const base = raised<f64>(load<f64>(at), stride, a, n);
    store<f64>(at, base);
    for (let e = 0; e < count; e++) a[rows[e]] = base + values[e];
    call_indirect<void>(take, v, changetype<usize>(a), <usize>0, count, <i64>base, tail, j);
  }
}

/**
 * Of column k and position j, the `keep` rows behind j with the largest G_ij reach_i, ties to the larger position, and the
 * diagonal entry: `out`, rows ascending, from starts[k] on. `reach` is by item. The tail of the scratch has room for a `Best`.
 */
export function pruneStored(
  task: i32, scratch: usize, E: Encoded, bounds: I32s, reach: F64s, keep: i32, starts: I32s, out: Columns,
): void {
  const place = E.positions;
  const values = changetype<F64s>(out.values);
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = place[E.first + k];
    const c = columnOf(E, k, max(E.limits[j], E.first + k), scratch);
    const best = bestAt(scratch + E.tail, keep);
    for (let e = c.count - 1; e >= 0; e--) {
      const i = place[c.rows[e]];
      if (i > j) offer(best, keep, c.values[e] * reach[c.rows[e]], i);
    }
    // the worst one that is kept is on top
    const full = best.length == keep;
    let w = starts[k];
    for (let e = 0; e < c.count; e++) {
      const i = place[c.rows[e]];
      if (i < j || (i > j && full && worse(c.values[e] * reach[c.rows[e]], i, best.key[0], best.index[0]))) continue;
      out.indices[w] = c.rows[e];
      values[w++] = c.values[e];
    }
    out.lengths[k] = w - starts[k];
  }
}

/** squares[first + k] := ‖G[:, k]‖₂², added up by ascending rows. */
export function squaresStored(task: i32, scratch: usize, E: Encoded, bounds: I32s, squares: F64s): void {
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const column = summed(E, k, i32.MAX_VALUE, scratch + E.buffers);
    const values = column.values;
    let sum: f64 = 0;
    for (let e = 0, count = column.count; e < count; e++) sum += values[e] * values[e];
    squares[E.first + k] = sum;
  }
}

/** The columns themselves. Returns the number of entries. */
export function sumStored(scratch: usize, E: Encoded, out: Columns): i32 {
  let p = 0;
  for (let k = 0; k < E.width; k++) {
    const sum = summed(E, k, i32.MAX_VALUE, scratch + E.buffers);
    const count = sum.count;
    memory.copy(changetype<usize>(from(out.indices, p)), changetype<usize>(sum.rows), 4 * <usize>count);
    memory.copy(out.values + 8 * <usize>p, changetype<usize>(sum.values), 8 * <usize>count);
    out.lengths[k] = count;
    p += count;
  }
  return p;
}
