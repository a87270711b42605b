import { Columns } from './outer';
import { numberAt, past, unpack } from './segment-code';
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
  positions: I32s; // of items
  at: I32s;
  counts: I32s;
  most: i32; // entries of a column at most, with some to spare
  dense: i32; // offset of n zeros
  buffers: i32; // offset of three columns
  tail: i32; // offset of a visitor's scratch
}

/** Rows ascending, values as they are. */
@unmanaged
class Column {
  count: i32;
  rows: I32s;
  values: F64s;
}

/** Entries that are unpacked at a time: they stay in the nearest cache. */
const STRIP: i32 = 1024;

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

/** Σ_s of column k, from the newest segment, which is the smallest, to the oldest. */
function summed(E: Encoded, k: i32, buffers: usize): Column {
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
    unpack(past(p), numberAt(p), -1, count, to.rows, to.values);
    to.count = count;
    if (empty) continue;
    add(sum, part, next);
    const freed = sum;
    sum = next;
    next = freed;
  }
  return sum;
}

// what lies below position j goes to `list` and `values` from w on
@inline
function below(place: I32s, j: i32, rows: I32s, from: F64s, count: i32, list: I32s, values: F64s, w: i32): i32 {
  for (let e = 0; e < count; e++) {
    const i = place[rows[e]];
    list[w] = i;
    values[w] = from[e];
    w += i32(i > j);
  }
  return w;
}

/** G[j+1:, j] of position j, which is column k: positions and values, with one written ahead. Returns how many. */
export function lower(E: Encoded, k: i32, j: i32, scratch: usize, list: I32s, values: F64s): i32 {
  const buffers = scratch + E.buffers;
  const place = E.positions;
  if (E.segments != 1) {
    const sum = summed(E, k, buffers);
    return below(place, j, sum.rows, sum.values, sum.count, list, values, 0);
  }
  let left = E.counts[k];
  if (left == 0) return 0;
  const strip = layOut(buffers, STRIP);
  const at = <usize><u32>E.at[k];
  const head = numberAt(at);
  let last = -1, w = 0;
  for (let p = past(at); left > 0; left -= STRIP) {
    const count = min(left, STRIP);
    p = unpack(p, head, last, count, strip.rows, strip.values);
    last = strip.rows[count - 1];
    w = below(place, j, strip.rows, strip.values, count, list, values, w);
  }
  return w;
}

/**
 * Hands `v` the columns bounds[task] … bounds[task + 1]: lists of rows with a list of their values in the place of the
 * sums, or where not `listed` sums by row. Scratch: zero before and after where `dense` says.
 */
export function sweepStored(task: i32, scratch: usize, v: Visitor, E: Encoded, bounds: I32s, listed: bool): void {
  const values = valuesOf(scratch), list = rowsOf(scratch, E);
  const a = changetype<F64s>(scratch + E.dense);
  const tail = scratch + E.tail;
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = E.positions[E.first + k];
    if (v.wants != 0 && !call_indirect<bool>(v.wants, v.state, j)) continue;
    const count = lower(E, k, j, scratch, list, values);
    if (listed) {
      call_indirect<void>(v.take, v.state, scratch, changetype<usize>(list), count, <i64>0, tail, j);
      continue;
    }
    for (let e = 0; e < count; e++) a[list[e]] = values[e];
    call_indirect<void>(v.take, v.state, changetype<usize>(a), changetype<usize>(list), count, <i64>0, tail, j);
    for (let e = 0; e < count; e++) a[list[e]] = 0;
  }
}

/** squares[first + k] := ‖G[:, k]‖₂², added up by ascending rows. */
export function squaresStored(task: i32, scratch: usize, E: Encoded, bounds: I32s, squares: F64s): void {
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const column = summed(E, k, scratch + E.buffers);
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
    const sum = summed(E, k, scratch + E.buffers);
    const count = sum.count;
    memory.copy(changetype<usize>(from(out.indices, p)), changetype<usize>(sum.rows), 4 * <usize>count);
    memory.copy(out.values + 8 * <usize>p, changetype<usize>(sum.values), 8 * <usize>count);
    out.lengths[k] = count;
    p += count;
  }
  return p;
}
