import { bestAt, offer } from './best';
import { axpy, scatteredAt, scatteredBytes } from './residual';
import { below } from './sort';
import { Lines } from './sparse';
import { F32s, I32s } from './views';

/** Reads both ends of the lines of Z that row i of W names: they lie anywhere, and are fetched side by side, not one by one. */
@inline
function fetch(W: Lines, i: i32, Z: Lines, to: I32s): void {
  const Zp = Z.indptr, Zi = Z.indices, Zx = changetype<I32s>(Z.values);
  let read = 0;
  for (let e = W.indptr[i], end = W.indptr[i + 1]; e < end; e++) {
    const k = W.indices[e];
    const first = Zp[k], last = Zp[k + 1] - 1;
    read += Zi[first] + Zi[last] + Zx[first] + Zx[last];
  }
  to[0] = read; // or nothing would be read
}

/**
 * Rows of encoder · decoder for a block of items, row i being that of item `first` + i, of which the `width` largest entries off the diagonal stay, positive ones alone
 * or, with `signed`, by magnitude, by ascending item: row i is at i · width of `items` and `values`, `lengths[i]` long. Scratch:
 * a `Scattered` filled with −1, then a `Best`.
 */
export function distil(
  task: i32, scratch: usize, n: i32, first: i32, encoder: Lines, decoder: Lines, bounds: I32s,
  width: i32, signed: i32, items: I32s, values: F32s, lengths: I32s,
): void {
  const y = scatteredAt(scratch, n);
  const best = bestAt(scratch + scatteredBytes(n), width);
  const Wp = encoder.indptr, Wi = encoder.indices, Wx = changetype<F32s>(encoder.values);
  const Zx = changetype<F32s>(decoder.values);
  for (let i = bounds[task], hi = bounds[task + 1]; i < hi; i++) {
    const item = first + i;
    y.length = 0;
    fetch(encoder, i, decoder, y.list);
    for (let e = Wp[i], end = Wp[i + 1]; e < end; e++) axpy(decoder.indptr, decoder.indices, Zx, Wi[e], <f64>Wx[e], y, item);
    best.length = 0;
    let bar: f64 = 0;
    for (let e = 0; e < y.length; e++) {
      const k = y.list[e];
      const size = signed ? abs(y.x[k]) : y.x[k];
      if (k == item || size <= 0 || size < bar) continue;
      offer(best, width, size, k);
      if (best.length == width) bar = best.key[0];
    }
    const count = best.length;
    for (let e = 0; e < count; e++) {
      const k = best.index[e];
      const to = i * width + below(best.index, count, k);
      items[to] = k;
      values[to] = <f32>y.x[k];
    }
    lengths[i] = count;
  }
}
