import { SIDE } from './dense-tile';
import { Lines } from './sparse';
import { F32s, I32s, present } from './views';

/** Bytes of a row that are summed up at a time: eight vectors. */
const STRIP: usize = 128;

// y + Σ_e c_e A_i(e) over the entries lo … hi of a sparse row
@inline
function row(indices: I32s, values: F32s, lo: i32, hi: i32, A: usize, y: usize, stride: usize, valued: bool): void {
  for (let s: usize = 0; s < stride; s += STRIP) {
    const to = y + s, from = A + s;
    let y0 = v128.load(to), y1 = v128.load(to, 16), y2 = v128.load(to, 32), y3 = v128.load(to, 48);
    let y4 = v128.load(to, 64), y5 = v128.load(to, 80), y6 = v128.load(to, 96), y7 = v128.load(to, 112);
    for (let e = lo; e < hi; e++) {
      const a = from + <usize>indices[e] * stride;
      const c = valued ? f32x4.splat(values[e]) : f32x4.splat(1);
      y0 = f32x4.add(y0, valued ? f32x4.mul(c, v128.load(a)) : v128.load(a));
      y1 = f32x4.add(y1, valued ? f32x4.mul(c, v128.load(a, 16)) : v128.load(a, 16));
      y2 = f32x4.add(y2, valued ? f32x4.mul(c, v128.load(a, 32)) : v128.load(a, 32));
      y3 = f32x4.add(y3, valued ? f32x4.mul(c, v128.load(a, 48)) : v128.load(a, 48));
      y4 = f32x4.add(y4, valued ? f32x4.mul(c, v128.load(a, 64)) : v128.load(a, 64));
      y5 = f32x4.add(y5, valued ? f32x4.mul(c, v128.load(a, 80)) : v128.load(a, 80));
      y6 = f32x4.add(y6, valued ? f32x4.mul(c, v128.load(a, 96)) : v128.load(a, 96));
      y7 = f32x4.add(y7, valued ? f32x4.mul(c, v128.load(a, 112)) : v128.load(a, 112));
    }
    v128.store(to, y0);
    v128.store(to, y1, 16);
    v128.store(to, y2, 32);
    v128.store(to, y3, 48);
    v128.store(to, y4, 64);
    v128.store(to, y5, 80);
    v128.store(to, y6, 96);
    v128.store(to, y7, 112);
  }
}

/**
 * Y += X A for 64 rows of a sparse X with float32 values, A and Y dense, row-major and `width` wide, a multiple of 32. Row j of
 * X has the entries cursor_j … end_j whose index is below `limit`, and cursor_j moves behind them; A is addressed so that
 * row i of it is at A + 4 i · width. So X may go by in strips of columns, of which only the rows of A in one are there.
 */
export function gather(
  task: i32, scratch: usize, rows: i32, X: Lines, cursor: I32s, limit: i32, A: usize, Y: usize, width: i32,
): void {
  const stride = <usize>width << 2;
  const Xi = X.indices, Xv = changetype<F32s>(X.values);
  for (let j = task * SIDE, end = min(rows, j + SIDE); j < end; j++) {
    const lo = cursor[j];
    let hi = lo;
    for (const last = X.indptr[j + 1]; hi < last && Xi[hi] < limit; ) hi++;
    cursor[j] = hi;
    const y = Y + <usize>j * stride;
    if (present(Xv)) row(Xi, Xv, lo, hi, A, y, stride, true);
    else row(Xi, Xv, lo, hi, A, y, stride, false);
  }
}
