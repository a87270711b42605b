import { Factor } from './factor';
import { F32s, F64s, from, I32s } from './views';

/** A dense vector that knows its nonzeros: x_i counts while mark_i is the current stamp. */
@unmanaged
export class Scattered {
  x: F64s;
  mark: I32s;
  list: I32s;
  length: i32;
}

/** y += α A_k, for the compressed line (row or column) k of A. */
@inline
export function axpy(Ap: I32s, Ai: I32s, Ax: F32s, k: i32, alpha: f64, y: Scattered, stamp: i32): void {
  const x = y.x, mark = y.mark, list = y.list;
  let length = y.length;
  for (let e = Ap[k], end = Ap[k + 1]; e < end; e++) {
    const i = Ai[e];
    const fresh = mark[i] != stamp;
    list[length] = i;
    length += i32(fresh);
    mark[i] = stamp;
    x[i] = (fresh ? 0 : x[i]) + alpha * <f64>Ax[e];
  }
  y.length = length;
}

/** r := e_j − L K_j. */
@inline
export function residual(L: Factor, K: Factor, j: i32, r: Scattered): void {
  const Ki = K.indices, Kx = K.data;
  r.x[j] = 1;
  r.mark[j] = j;
  r.list[0] = j;
  r.length = 1;
  for (let e = K.indptr[j], end = K.indptr[j + 1]; e < end; e++) axpy(L.indptr, L.indices, L.data, Ki[e], -<f64>Kx[e], r, j);
}

/** ⟨r, r⟩ */
@inline
export function squared(r: Scattered): f64 {
  let sum: f64 = 0;
  for (let e = 0; e < r.length; e++) {
    const v = r.x[r.list[e]];
    sum += v * v;
  }
  return sum;
}

/** Bytes of a `Scattered` of n: the record, then x, mark and list with one to spare. */
@inline
export function scatteredBytes(n: i32): usize {
  return (((<usize>n) << 4) + 64 + 63) & ~63;
}

/** Lays a `Scattered` out in scratch whose marks are −1 or the stamps of columns done. */
@inline
export function scatteredAt(scratch: usize, n: i32): Scattered {
  const y = changetype<Scattered>(scratch);
  y.x = changetype<F64s>(scratch + 16);
  y.mark = from(changetype<I32s>(y.x), 2 * n);
  y.list = from(y.mark, n);
  y.length = 0;
  return y;
}

/** loss_j = ‖e_j − L K_j‖² for a block of columns. Scratch: one `Scattered`, filled with −1. */
export function residualLoss(task: i32, scratch: usize, L: Factor, K: Factor, bounds: I32s, loss: F64s): void {
  const r = scatteredAt(scratch, L.n);
  for (let j = bounds[task], hi = bounds[task + 1]; j < hi; j++) {
    residual(L, K, j, r);
    loss[j] = squared(r);
  }
}
