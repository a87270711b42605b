import { axpy, Scattered, scatteredAt, scatteredBytes } from './residual';
import { Lines } from './sparse';
import { F32s, from, I32s, present } from './views';

/**
 * The k best items of each user of a block by the scores (u · encoder) · decoder, the user's own items left out;
 * best first, ties to the smaller item. User u's list is at `u − first` of `items`, `scores` (k a user) and `lengths`:
 * shorter than k when fewer items are reached. Items the model does not know (≥ n) are passed over; `users` may lack
 * values. Scratch: two `Scattered` filled with −1.
 */
export function score(
  task: i32, scratch: usize, n: i32, users: Lines, encoder: Lines, decoder: Lines, bounds: I32s,
  k: i32, first: i32, items: I32s, scores: F32s, lengths: I32s,
): void {
  const latent = scatteredAt(scratch, n);
  const y = scatteredAt(scratch + scatteredBytes(n), n);
  const Up = users.indptr, Ui = users.indices, Uv = changetype<I32s>(users.values);
  const valued = present(Uv);
  for (let u = first + bounds[task], hi = first + bounds[task + 1]; u < hi; u++) {
    const lo = Up[u], end = Up[u + 1];
    latent.length = 0;
    for (let e = lo; e < end; e++) {
      if (Ui[e] < n) axpy(encoder.indptr, encoder.indices, changetype<F32s>(encoder.values), Ui[e], valued ? <f64>Uv[e] : 1, latent, u);
    }
    y.length = 0;
    for (let e = 0; e < latent.length; e++) {
      const l = latent.list[e];
      axpy(decoder.indptr, decoder.indices, changetype<F32s>(decoder.values), l, latent.x[l], y, u);
    }
    for (let e = lo; e < end; e++) {
      if (Ui[e] < n) y.mark[Ui[e]] = -1;
    }
    const at = (u - first) * k;
    lengths[u - first] = best(y, u, k, from(items, at), from(scores, at));
  }
}

// The k largest of y with the mark `stamp`, in order; insertion into a sorted list, which few entries reach.
@inline
function best(y: Scattered, stamp: i32, k: i32, items: I32s, scores: F32s): i32 {
  let count = 0;
  if (k == 0) return 0;
  for (let e = 0; e < y.length; e++) {
    const i = y.list[e];
    if (y.mark[i] != stamp) continue;
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
