import { axpy, Scattered, scatteredAt, scatteredBytes } from './residual';
import { Lines } from './sparse';
import { F32s, from, I32s, present, U8s } from './views';

/** Which items may be recommended, and which are when too few have a score. */
@unmanaged
export class Choice {
  allowed: U8s; // a byte an item, 0 denied; absent when all are allowed
  popular: I32s; // items, the most popular first
  popularLength: i32; // 0 where lists are not filled up
}

@inline
function layer(A: Lines): F32s {
  return changetype<F32s>(A.values);
}

/**
 * The k best items of each user of a block by the scores (u · encoder) · decoder, or u · decoder where there is no encoder,
 * the user's own items left out; best first, ties to the smaller item. User u's list is at u of `items`, `scores` (k a
 * user) and `lengths`: shorter than k when fewer items are reached, unless it is filled up with the most popular ones,
 * `fallbacks` of them, whose scores are 0. Items the model does not know (≥ n) are passed over; `users` may lack values.
 * Scratch: two `Scattered` filled with −1.
 */
export function score(
  task: i32, scratch: usize, n: i32, users: Lines, encoder: Lines, decoder: Lines, bounds: I32s,
  k: i32, choice: Choice, items: I32s, scores: F32s, lengths: I32s, fallbacks: I32s,
): void {
  const latent = scatteredAt(scratch, n);
  const y = scatteredAt(scratch + scatteredBytes(n), n);
  const Up = users.indptr, Ui = users.indices, Uv = changetype<I32s>(users.values);
  const valued = present(Uv), layered = changetype<usize>(encoder) != 0;
  for (let u = bounds[task], hi = bounds[task + 1]; u < hi; u++) {
    const lo = Up[u], end = Up[u + 1];
    latent.length = 0;
    y.length = 0;
    for (let e = lo; e < end; e++) {
      const i = Ui[e];
      if (i >= n) continue;
      const v = valued ? <f64>Uv[e] : 1;
      if (layered) axpy(encoder.indptr, encoder.indices, layer(encoder), i, v, latent, u);
      else axpy(decoder.indptr, decoder.indices, layer(decoder), i, v, y, u);
    }
    for (let e = 0; e < latent.length; e++) {
      const l = latent.list[e];
      axpy(decoder.indptr, decoder.indices, layer(decoder), l, latent.x[l], y, u);
    }
    for (let e = lo; e < end; e++) {
      if (Ui[e] < n) y.mark[Ui[e]] = -1;
    }
    const list = from(items, u * k), values = from(scores, u * k);
    const count = best(y, u, k, choice.allowed, list, values);
    const filled = count < k && choice.popularLength > 0
      ? fill(y, choice, Ui, lo, end, n, k, count, list, values)
      : count;
    lengths[u] = filled;
    fallbacks[u] = filled - count;
  }
}

// Popular items behind the first `count`, neither the user's own nor listed already; uses up the marks of y.
function fill(
  y: Scattered, choice: Choice, Ui: I32s, lo: i32, end: i32, n: i32, k: i32, count: i32, items: I32s, scores: F32s,
): i32 {
  const mark = y.mark;
  const taken = -2;
  for (let e = lo; e < end; e++) if (Ui[e] < n) mark[Ui[e]] = taken;
  for (let p = 0; p < count; p++) mark[items[p]] = taken;
  let length = count;
  for (let e = 0; e < choice.popularLength && length < k; e++) {
    const i = choice.popular[e];
    if (mark[i] == taken || (present(choice.allowed) && choice.allowed[i] == 0)) continue;
    items[length] = i;
    scores[length++] = 0;
  }
  for (let e = lo; e < end; e++) if (Ui[e] < n) mark[Ui[e]] = -1;
  for (let p = 0; p < count; p++) mark[items[p]] = -1;
  return length;
}

// The k largest of the allowed ones of y with the mark `stamp`, in order; insertion into a sorted list, which few entries reach.
@inline
function best(y: Scattered, stamp: i32, k: i32, allowed: U8s, items: I32s, scores: F32s): i32 {
  let count = 0;
  if (k == 0) return 0;
  for (let e = 0; e < y.length; e++) {
    const i = y.list[e];
    if (y.mark[i] != stamp || (present(allowed) && allowed[i] == 0)) continue;
    const s = <f32>y.x[i]; // ties are ties of what the caller sees
    if (count == k) {
      const last = scores[k - 1];
      if (s < last || (s == last && i > items[k - 1])) continue;
      count--;
    }
    let p = count++;
    for (; p > 0 && (scores[p - 1] < s || (scores[p - 1] == s && items[p - 1] > i)); p--) {
      scores[p] = scores[p - 1];
      items[p] = items[p - 1];
    }
    scores[p] = s;
    items[p] = i;
  }
  return count;
}
