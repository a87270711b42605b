import { column, raised } from './columns';
import { Interactions } from './interactions';
import { from, I32s, View } from './views';

/**
 * The receiver of the columns of G: functions of the module's table, and the address that is theirs.
 *
 *     wants(v, j): bool                                 whether column j is to be summed up; absent: every column
 *     take(v, a, list, count, base, tail, j): void      G_ij = a[i] − base, where a[i] > base; rows i > j
 *
 * `list` has the `count` rows of column j, where a sweep lists them. `tail` is scratch of the thread for `take`. Sums of
 * width f64 are of a stored G, whose rows are items: `place` takes them to positions and `order` back, a list of rows has
 * all of them, above and below j, and where rows are listed a[e] is the entry of list[e].
 */
@unmanaged
export class Visitor {
  wants: u32;
  take: u32;
  state: usize;
  place: I32s;
  order: I32s;
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
  const wants = v.wants, take = v.take;
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    if (wants != 0 && !call_indirect<bool>(wants, v, j)) continue;
    const base = raised<A>(load<A>(scratch), stride, a, n);
    store<A>(scratch, base);
    const count = column<A>(x, j, base, a, list, weighted, valued, listed);
    call_indirect<void>(take, v, changetype<usize>(a), changetype<usize>(list), count, <i64>base, tail, j);
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
