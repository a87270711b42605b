import { column, raised } from './columns';
import { Interactions } from './interactions';
import { F64s, from, I32s, View } from './views';

/**
 * The receiver of the columns of G: functions of the module's table and the address that they are called with.
 *
 *     wants(state, j): bool                                 whether column j is to be summed up; absent: every column
 *     take(state, a, list, count, base, tail, j): void      G_ij = a[i] − base, where a[i] > base; rows i > j
 *
 * `list` has the `count` rows of column j, where a sweep lists them. `tail` is scratch of the thread for `take`.
 */
@unmanaged
export class Visitor {
  wants: u32;
  take: u32;
  state: usize;
}

/** Entries that a list of rows has to spare: it is written one ahead. */
const SPARE: i32 = 16;

/** Scratch of a thread: the base of the sums on a line of its own, n sums, a list of rows, then what is left for `take`. */
@inline
function tailOf(list: I32s, n: i32): usize {
  return (changetype<usize>(from(list, n + SPARE)) + 63) & ~63;
}

// The flags are constants of the caller: as values they would cost an eighth of the time.
@inline
function pass<A>(
  task: i32, scratch: usize, v: Visitor, x: Interactions, bounds: I32s, stride: A, weighted: bool, valued: bool, listed: bool,
): void {
  const n = x.items;
  const a = changetype<View<A>>(scratch + 64);
  const list = changetype<I32s>(from(a, n));
  const tail = tailOf(list, n);
  const wants = v.wants, take = v.take, state = v.state;
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    if (wants != 0 && !call_indirect<bool>(wants, state, j)) continue;
    const base = raised<A>(load<A>(scratch), stride, a, n);
    store<A>(scratch, base);
    const count = column<A>(x, j, base, a, list, weighted, valued, listed);
    call_indirect<void>(take, state, changetype<usize>(a), changetype<usize>(list), count, <i64>base, tail, j);
  }
}

// kinds of X: + 4 where sums need 64 bits
const WEIGHTED = 1;
const VALUED = 2;

@inline
function passOf(
  task: i32, scratch: usize, v: Visitor, x: Interactions, bounds: I32s, stride: f64, kind: i32, listed: bool,
): void {
  if (kind == 0) pass<i32>(task, scratch, v, x, bounds, <i32>stride, false, false, listed);
  else if (kind == WEIGHTED) pass<i32>(task, scratch, v, x, bounds, <i32>stride, true, false, listed);
  else if (kind == VALUED) pass<i32>(task, scratch, v, x, bounds, <i32>stride, false, true, listed);
  else if (kind == (WEIGHTED | VALUED)) pass<i32>(task, scratch, v, x, bounds, <i32>stride, true, true, listed);
  else pass<i64>(task, scratch, v, x, bounds, <i64>stride, (kind & WEIGHTED) != 0, (kind & VALUED) != 0, listed);
}

/** Hands `v` a block of columns of G = XᵀWX below the diagonal, with lists of their rows. Scratch: zero at first. */
export function sweepColumns(
  task: i32, scratch: usize, v: Visitor, x: Interactions, bounds: I32s, stride: f64, kind: i32,
): void {
  passOf(task, scratch, v, x, bounds, stride, kind, true);
}

/** As `sweepColumns`, without the lists. */
export function sweepSums(
  task: i32, scratch: usize, v: Visitor, x: Interactions, bounds: I32s, stride: f64, kind: i32,
): void {
  passOf(task, scratch, v, x, bounds, stride, kind, false);
}

/** Consecutive columns of a stored G: that of item `first + c` is starts[c] … starts[c + 1] of the arrays, rows by item. */
@unmanaged
export class StoredColumns {
  first: i32;
  wide: i32; // values f64, else i32
  positions: I32s; // of items
  starts: I32s;
  indices: I32s;
  values: usize;
}

/** As `sweepColumns` for a stored G, with sums of 8 bytes on the base 0. Scratch: zero before and after. */
export function sweepStored(task: i32, scratch: usize, v: Visitor, c: StoredColumns, n: i32, bounds: I32s): void {
  const place = c.positions;
  const a = changetype<F64s>(scratch + 64);
  const list = changetype<I32s>(from(a, n));
  const tail = tailOf(list, n);
  for (let k = bounds[task], hi = bounds[task + 1]; k < hi; k++) {
    const j = place[c.first + k];
    if (v.wants != 0 && !call_indirect<bool>(v.wants, v.state, j)) continue;
    let count = 0;
    for (let e = c.starts[k], end = c.starts[k + 1]; e < end; e++) {
      const i = place[c.indices[e]];
      if (i <= j) continue;
      a[i] = c.wide ? changetype<F64s>(c.values)[e] : <f64>changetype<I32s>(c.values)[e];
      list[count++] = i;
    }
    call_indirect<void>(v.take, v.state, changetype<usize>(a), changetype<usize>(list), count, <i64>0, tail, j);
    for (let e = 0; e < count; e++) a[list[e]] = 0;
  }
}
