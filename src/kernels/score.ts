import { largestDistinct } from './select';
import { descending } from './sort';
import { Lines } from './sparse';
import { F32s, F64s, from, I32s, present, U64s, U8s } from './views';

/** Which items may be recommended, and which are when too few have a score. */
@unmanaged
export class Choice {
  allowed: U8s; // a byte an item, 0 denied; absent when all are allowed
  popular: I32s; // items, the most popular first
  popularLength: i32; // 0 where lists are not filled up
  keepOwn: i32; // 1 where the user's own items may be in the list
}

/** Sums by item that know what they touched: x_i is −0 until then, which no sum can be. */
@unmanaged
class Sums {
  length: i32;
  x: F64s;
  list: I32s;
}

/** Keys beside the k best ones that wait until the best are chosen among all. */
export const SPARE: i32 = 128;

/** Entries of a cache line. */
const LINE: i32 = 16;

const RECORD: usize = 16;
const UNTOUCHED: f64 = -0.0;

@inline
function touched(x: f64): bool {
  return reinterpret<i64>(x) != i64.MIN_VALUE;
}

/** Bytes of `Sums` of n: the record, x, and the list with one to spare. */
@inline
function sumsBytes(n: i32): usize {
  return (RECORD + 12 * <usize>n + 4 + 63) & ~63;
}

@inline
function sumsAt(scratch: usize, n: i32): Sums {
  const y = changetype<Sums>(scratch);
  y.x = changetype<F64s>(scratch + RECORD);
  y.list = changetype<I32s>(from(y.x, n));
  return y;
}

// y += α A_k; + 0, because −0 would touch nothing
@inline
function add(A: Lines, k: i32, alpha: f64, y: Sums): void {
  const Ai = A.indices, Ax = changetype<F32s>(A.values), x = y.x, list = y.list;
  let length = y.length;
  for (let e = A.indptr[k], end = A.indptr[k + 1]; e < end; e++) {
    const i = Ai[e];
    const sum = x[i];
    list[length] = i;
    length += i32(!touched(sum));
    x[i] = sum + (alpha * <f64>Ax[e] + 0);
  }
  y.length = length;
}

// Reads something of every cache line of the rows Ui[lo … end), so that they come side by side: rows lie anywhere,
// and waiting for one after the other is a sixth of all.
@inline
function fetch(A: Lines, Ui: I32s, lo: i32, end: i32, n: i32, y: Sums): void {
  const Ap = A.indptr, Ai = A.indices, Ax = changetype<I32s>(A.values);
  let read = 0;
  for (let e = lo; e < end; e++) {
    if (Ui[e] >= n) continue;
    for (let p = Ap[Ui[e]], to = Ap[Ui[e] + 1]; p < to; p += LINE) read ^= Ai[p] ^ Ax[p];
  }
  y.list[0] = read; // written over; what nobody reads would not be read at all
}

/**
 * The k best items of each user of a block by the scores (u · encoder) · decoder, or u · decoder where there is no encoder,
 * the user's own items left out unless `choice` keeps them; best first, ties to the smaller item. User u's list is at u of
 * `items`, `scores` (k a user) and `lengths`: shorter than k when fewer items are reached, unless it is filled up with the
 * most popular ones, `fallbacks` of them, whose scores are 0. Items the model does not know (≥ n) are passed over; `users`
 * may lack values. Scratch: k + 128 keys, a `Sums` of n, and with an encoder a `Sums` of its `latents`, filled with −0, also
 * at the end.
 */
export function score(
  task: i32, scratch: usize, n: i32, latents: i32, users: Lines, encoder: Lines, decoder: Lines, bounds: I32s,
  k: i32, choice: Choice, items: I32s, scores: F32s, lengths: I32s, fallbacks: I32s,
): void {
  const keys = changetype<U64s>(scratch);
  const y = sumsAt((scratch + 8 * <usize>(k + SPARE) + 63) & ~63, n);
  const Up = users.indptr, Ui = users.indices, Uv = changetype<I32s>(users.values);
  const valued = present(Uv), layered = changetype<usize>(encoder) != 0;
  for (let u = bounds[task], hi = bounds[task + 1]; u < hi; u++) {
    const lo = Up[u], end = Up[u + 1];
    y.length = 0;
    fetch(layered ? encoder : decoder, Ui, lo, end, n, y);
    if (layered) {
      const latent = sumsAt(changetype<usize>(y) + sumsBytes(n), latents);
      latent.length = 0;
      for (let e = lo; e < end; e++) if (Ui[e] < n) add(encoder, Ui[e], valued ? <f64>Uv[e] : 1, latent);
      for (let e = 0; e < latent.length; e++) {
        const l = latent.list[e];
        add(decoder, l, latent.x[l], y);
        latent.x[l] = UNTOUCHED;
      }
    } else {
      for (let e = lo; e < end; e++) if (Ui[e] < n) add(decoder, Ui[e], valued ? <f64>Uv[e] : 1, y);
    }
    for (let e = lo; e < end && choice.keepOwn == 0; e++) if (Ui[e] < n) y.x[Ui[e]] = UNTOUCHED;
    const list = from(items, u * k), values = from(scores, u * k);
    const count = best(y, k, choice.allowed, keys);
    for (let p = 0; p < count; p++) {
      list[p] = itemOf(keys[p]);
      values[p] = scoreOf(keys[p]);
    }
    const filled = count < k && choice.popularLength > 0
      ? fill(y.x, choice, Ui, lo, end, n, k, count, list, values)
      : count;
    lengths[u] = filled;
    fallbacks[u] = filled - count;
  }
}

// A score and its item as one number: the larger score first, and of equal ones, which are equal as f32, the smaller item.
@inline
export function keyOf(score: f32, i: i32): u64 {
  const bits = reinterpret<u32>(score + 0); // −0 ties with 0
  const order = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
  return (<u64>order << 32) | <u64>(~(<u32>i));
}

@inline
export function itemOf(key: u64): i32 {
  return ~(<i32>key);
}

@inline
export function scoreOf(key: u64): f32 {
  const order = <u32>(key >> 32);
  return reinterpret<f32>(order >> 31 ? order & 0x7fffffff : ~order);
}

// The keys of the k largest of the allowed ones of y, in order; `keys` has room for them and SPARE more. Clears y.
@inline
function best(y: Sums, k: i32, allowed: U8s, keys: U64s): i32 {
  const x = y.x, list = y.list, room = k + SPARE;
  let length = 0, floor: u64 = k > 0 ? 0 : u64.MAX_VALUE;
  for (let e = 0; e < y.length; e++) {
    const i = list[e];
    const sum = x[i];
    x[i] = UNTOUCHED;
    if (present(allowed) && allowed[i] == 0) continue;
    const key = keyOf(<f32>sum, i);
    keys[length] = key; // kept or not without a branch, which would be guessed wrong
    length += i32(touched(sum)) & i32(key > floor);
    if (length == room) {
      largestDistinct(keys, length, k);
      length = k;
      floor = keys[k - 1];
    }
  }
  if (length > k) largestDistinct(keys, length, k);
  length = min(length, k);
  descending(keys, length);
  return length;
}

// Popular items behind the first `count`, neither the user's own nor listed already; x, which is clear, marks those.
function fill(
  x: F64s, choice: Choice, Ui: I32s, lo: i32, end: i32, n: i32, k: i32, count: i32, items: I32s, scores: F32s,
): i32 {
  for (let e = lo; e < end; e++) if (Ui[e] < n) x[Ui[e]] = 1;
  for (let p = 0; p < count; p++) x[items[p]] = 1;
  let length = count;
  for (let e = 0; e < choice.popularLength && length < k; e++) {
    const i = choice.popular[e];
    if (touched(x[i]) || (present(choice.allowed) && choice.allowed[i] == 0)) continue;
    items[length] = i;
    scores[length++] = 0;
  }
  for (let e = lo; e < end; e++) if (Ui[e] < n) x[Ui[e]] = UNTOUCHED;
  for (let p = 0; p < count; p++) x[items[p]] = UNTOUCHED;
  return length;
}
