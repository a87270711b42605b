import { column, raised } from './columns';
import { Interactions } from './interactions';
import { Encoded, lower, lowerWords } from './stored';
import { F64s, from, I32s, View } from './views';

/**
 * Blocks of columns of G on their way from the threads that sum them up to the one that takes them.
 * Block b waits in slot b mod `slots`; it may be produced once block b − `slots` is consumed.
 *
 *      consumed ≤ … ready … ≤ next ≤ consumed + slots
 */
@unmanaged
export class Ring {
  blocks: i32;
  slots: i32;
  width: i32; // columns in a block at most
  capacity: i32; // entries in a slot
  next: i32; // first block nobody has taken (atomic)
  consumed: i32; // blocks taken (atomic)
  stopped: i32; // nobody wants any more blocks (atomic)
  kind: i32; // what is read, see below
  stride: f64; // > every G_jj
  shift: i32; // > 0 where values are packed above that many bits of position; no `values` then
  bounds: I32s; // block b is columns bounds[b] … bounds[b + 1]
  ready: I32s; // 1 + the block that is ready in each slot (atomic)
  starts: I32s; // width + 1 a slot
  indices: I32s;
  values: F64s;
}

// kinds of what is read: X, or an encoded G
const ONES = 0;
const WEIGHTED = 1; // user weights
const VALUED = 2;
const STORED = 4;

@inline
function nextOf(r: Ring): usize {
  return changetype<usize>(r) + offsetof<Ring>('next');
}

@inline
function consumedOf(r: Ring): usize {
  return changetype<usize>(r) + offsetof<Ring>('consumed');
}

@inline
function stoppedOf(r: Ring): usize {
  return changetype<usize>(r) + offsetof<Ring>('stopped');
}

@inline
function readyOf(r: Ring, b: i32): usize {
  return changetype<usize>(r.ready) + ((<usize>(b % r.slots)) << 2);
}

/** Scratch of a producing thread: the base its sums stand on (8 bytes of 64), then one sum a row. */
@inline
function fill<A>(b: i32, scratch: usize, r: Ring, x: Interactions, weighted: bool, valued: bool): void {
  const slot = b % r.slots;
  const starts = from(r.starts, slot * (r.width + 1));
  const indices = from(r.indices, slot * r.capacity);
  const values = from(r.values, slot * r.capacity);
  const shift = r.shift;
  const a = changetype<View<A>>(scratch + 64);
  const stride = <A>r.stride;
  const lo = r.bounds[b], hi = r.bounds[b + 1];
  let base = load<A>(scratch);
  let p = 0;
  for (let j = lo; j < hi; j++) {
    starts[j - lo] = p;
    base = raised<A>(base, stride, a, x.items);
    const to = from(indices, p);
    const count = column<A>(x, j, base, a, to, weighted, valued);
    if (shift > 0) {
      for (let e = 0; e < count; e++) to[e] |= <i32>(a[to[e]] - base) << shift;
    } else {
      for (let e = 0; e < count; e++) values[p + e] = <f64>(a[to[e]] - base);
    }
    p += count;
  }
  starts[hi - lo] = p;
  store<A>(scratch, base);
}

/** As `fill`, of an encoded G. */
function decode(b: i32, scratch: usize, r: Ring, E: Encoded): void {
  const slot = b % r.slots;
  const starts = from(r.starts, slot * (r.width + 1));
  const indices = from(r.indices, slot * r.capacity);
  const values = from(r.values, slot * r.capacity);
  const shift = r.shift;
  const lo = r.bounds[b], hi = r.bounds[b + 1];
  let p = 0;
  for (let j = lo; j < hi; j++) {
    starts[j - lo] = p;
    const to = from(indices, p);
    const k = j - E.first;
    p += shift > 0 ? lowerWords(E, k, j, scratch, to, shift) : lower(E, k, j, scratch, to, from(values, p));
  }
  starts[hi - lo] = p;
}

function produceBlock(b: i32, scratch: usize, r: Ring, x: Interactions): void {
  const kind = r.kind;
  if (kind == STORED) decode(b, scratch, r, changetype<Encoded>(x));
  else if (kind == ONES) fill<i32>(b, scratch, r, x, false, false);
  else if (kind == WEIGHTED) fill<i64>(b, scratch, r, x, true, false);
  else if (kind == VALUED) fill<i64>(b, scratch, r, x, false, true);
  else fill<i64>(b, scratch, r, x, true, true);
  const ready = readyOf(r, b);
  atomic.store<i32>(ready, b + 1);
  atomic.notify(ready, 1);
}

/** A worker's part: produces blocks until none is left. */
export function produce(task: i32, scratch: usize, r: Ring, x: Interactions): void {
  for (;;) {
    const b = atomic.add<i32>(nextOf(r), 1);
    if (b >= r.blocks) return;
    for (;;) {
      const done = atomic.load<i32>(consumedOf(r));
      if (atomic.load<i32>(stoppedOf(r))) return;
      if (b < done + r.slots) break;
      atomic.wait<i32>(consumedOf(r), done, -1);
    }
    produceBlock(b, scratch, r, x);
  }
}

/** Tells the producers to leave. */
export function stop(r: Ring): void {
  atomic.store<i32>(stoppedOf(r), 1);
  atomic.store<i32>(consumedOf(r), r.blocks);
  atomic.notify(consumedOf(r), -1);
}

// The consumer never sleeps while there is a block to produce that has room.
function obtain(b: i32, scratch: usize, r: Ring, x: Interactions): void {
  const ready = readyOf(r, b);
  for (;;) {
    const seen = atomic.load<i32>(ready);
    if (seen == b + 1) return;
    const next = atomic.load<i32>(nextOf(r));
    if (next < r.blocks && next < b + r.slots) {
      if (atomic.cmpxchg<i32>(nextOf(r), next, next + 1) == next) produceBlock(next, scratch, r, x);
    } else atomic.wait<i32>(ready, seen, -1);
  }
}

/**
 * The taking thread's part: hands the blocks up to `until` to a function of the module's table, in order, and produces
 * blocks itself where it would have to wait. False as soon as the function returns false.
 *
 *     take(state, lo, hi, starts, indices, values, shift): bool      columns lo … hi, column j at starts[j − lo]
 */
export function consume(scratch: usize, take: u32, state: usize, r: Ring, x: Interactions, until: i32): bool {
  for (let b = atomic.load<i32>(consumedOf(r)); b < until; b++) {
    obtain(b, scratch, r, x);
    const slot = b % r.slots;
    const starts = from(r.starts, slot * (r.width + 1));
    const indices = from(r.indices, slot * r.capacity);
    const values = from(r.values, slot * r.capacity);
    if (!call_indirect<bool>(take, state, r.bounds[b], r.bounds[b + 1], starts, indices, values, r.shift)) return false;
    atomic.store<i32>(consumedOf(r), b + 1);
    atomic.notify(consumedOf(r), -1);
  }
  return true;
}

/** Produces every block in turn and forgets it: one pass over all columns, for measuring. Returns the entries seen. */
export function produceAll(scratch: usize, r: Ring, x: Interactions): f64 {
  let entries: f64 = 0;
  for (let b = 0; b < r.blocks; b++) {
    produceBlock(b, scratch, r, x);
    entries += r.starts[(b % r.slots) * (r.width + 1) + r.bounds[b + 1] - r.bounds[b]];
  }
  return entries;
}
