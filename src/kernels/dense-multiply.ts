import { SIDE, tileBytes } from './dense-tile';

// z[u, j … j + 8) = Σ_k T[j … j + 8, k] y[u, k] for four rows u: a panel of each of `count` tiles, `stride` bytes a row of y, `step` of z
@inline
export function panelProduct(t: usize, count: i32, y: usize, z: usize, stride: usize, step: usize): void {
  let c00 = f32x4.splat(0), c01 = f32x4.splat(0), c02 = f32x4.splat(0), c03 = f32x4.splat(0);
  let c10 = f32x4.splat(0), c11 = f32x4.splat(0), c12 = f32x4.splat(0), c13 = f32x4.splat(0);
  let y0 = y, y1 = y + stride, y2 = y1 + stride, y3 = y2 + stride;
  for (let K = 0; K < count; K++, t += tileBytes<f32>()) {
    for (let a = t, end = t + 2048; a < end; a += 32, y0 += 4, y1 += 4, y2 += 4, y3 += 4) {
      const a0 = v128.load(a), a1 = v128.load(a, 16);
      const b0 = v128.load32_splat(y0), b1 = v128.load32_splat(y1);
      c00 = f32x4.add(c00, f32x4.mul(a0, b0));
      c10 = f32x4.add(c10, f32x4.mul(a1, b0));
      c01 = f32x4.add(c01, f32x4.mul(a0, b1));
      c11 = f32x4.add(c11, f32x4.mul(a1, b1));
      const b2 = v128.load32_splat(y2), b3 = v128.load32_splat(y3);
      c02 = f32x4.add(c02, f32x4.mul(a0, b2));
      c12 = f32x4.add(c12, f32x4.mul(a1, b2));
      c03 = f32x4.add(c03, f32x4.mul(a0, b3));
      c13 = f32x4.add(c13, f32x4.mul(a1, b3));
    }
  }
  put(z, c00, c10);
  put(z + step, c01, c11);
  put(z + 2 * step, c02, c12);
  put(z + 3 * step, c03, c13);
}

@inline
function put(z: usize, low: v128, high: v128): void {
  v128.store(z, low);
  v128.store(z, high, 16);
}

/**
 * Z = Y Tᵀ for 64 rows of Y, row-major and 64 `count` wide, T a square of `count` × `count` tiles, row by row. Rows of Y and Z
 * are there up to a multiple of four.
 */
export function multiply(task: i32, scratch: usize, rows: i32, Y: usize, T: usize, count: i32, Z: usize): void {
  const stride = <usize>count << 8;
  const lo = task * SIDE;
  const hi = min(rows, lo + SIDE);
  for (let J = 0; J < count; J++) {
    const tiles = T + <usize>(J * count) * tileBytes<f32>();
    for (let u = lo; u < hi; u += 4) {
      const y = Y + <usize>u * stride;
      const z = Z + <usize>u * stride + (<usize>J << 8);
      for (let p: usize = 0; p < 8; p++) panelProduct(tiles + (p << 11), count, y, z + (p << 5), stride, stride);
    }
  }
}
