import { SIDE } from './dense-tile';
import { Lines } from './sparse';
import { F32s, I32s, present } from './views';

// c x, or x itself where all values are 1
@inline
function times(c: v128, x: v128, valued: bool): v128 {
  return valued ? f32x4.mul(c, x) : x;
}

@inline
function value(values: F32s, e: i32, valued: bool): v128 {
  return f32x4.splat(valued ? values[e] : 1);
}

// y + Σ_e c_e A_i(e) over the entries lo … hi of a sparse row, four rows of A at a time: each is read once, from end to end
@inline
function row(indices: I32s, values: F32s, lo: i32, hi: i32, A: usize, y: usize, stride: usize, valued: bool): void {
  let e = lo;
  for (; e + 4 <= hi; e += 4) {
    let a = A + <usize>indices[e] * stride, b = A + <usize>indices[e + 1] * stride;
    let c = A + <usize>indices[e + 2] * stride, d = A + <usize>indices[e + 3] * stride;
    const va = value(values, e, valued), vb = value(values, e + 1, valued);
    const vc = value(values, e + 2, valued), vd = value(values, e + 3, valued);
    for (let to = y, end = y + stride; to < end; to += 32, a += 32, b += 32, c += 32, d += 32) {
      let y0 = f32x4.add(v128.load(to), times(va, v128.load(a), valued));
      let y1 = f32x4.add(v128.load(to, 16), times(va, v128.load(a, 16), valued));
      y0 = f32x4.add(y0, times(vb, v128.load(b), valued));
      y1 = f32x4.add(y1, times(vb, v128.load(b, 16), valued));
      y0 = f32x4.add(y0, times(vc, v128.load(c), valued));
      y1 = f32x4.add(y1, times(vc, v128.load(c, 16), valued));
      v128.store(to, f32x4.add(y0, times(vd, v128.load(d), valued)));
      v128.store(to, f32x4.add(y1, times(vd, v128.load(d, 16), valued)), 16);
    }
  }
  for (; e < hi; e++) {
    const a = A + <usize>indices[e] * stride;
    const v = value(values, e, valued);
    for (let s: usize = 0; s < stride; s += 16) {
      v128.store(y + s, f32x4.add(v128.load(y + s), times(v, v128.load(a + s), valued)));
    }
  }
}

/**
 * Y += X A for 64 rows of a sparse X with float32 values, A and Y dense, row-major and `width` wide, a multiple of 8. Row j of
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
