/** Rows of float32, a multiple of 32 bytes wide, with sums in float64. */

/** ⟨a, b⟩ */
@inline
export function dot(a: usize, b: usize, bytes: usize): f64 {
  let low = f64x2.splat(0), high = f64x2.splat(0);
  for (let s: usize = 0; s < bytes; s += 16) {
    const x = v128.load(a + s), y = v128.load(b + s);
    low = f64x2.add(low, f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y)));
    const xs = v128.shuffle<u64>(x, x, 1, 0), ys = v128.shuffle<u64>(y, y, 1, 0);
    high = f64x2.add(high, f64x2.mul(f64x2.promote_low_f32x4(xs), f64x2.promote_low_f32x4(ys)));
  }
  const sum = f64x2.add(low, high);
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1);
}

/** y := α x + β y */
@inline
export function combine(alpha: f32, x: usize, beta: f32, y: usize, bytes: usize): void {
  const a = f32x4.splat(alpha), b = f32x4.splat(beta);
  for (let s: usize = 0; s < bytes; s += 16) {
    v128.store(y + s, f32x4.add(f32x4.mul(a, v128.load(x + s)), f32x4.mul(b, v128.load(y + s))));
  }
}

/** y := α x */
@inline
export function scale(alpha: f32, x: usize, y: usize, bytes: usize): void {
  const a = f32x4.splat(alpha);
  for (let s: usize = 0; s < bytes; s += 16) v128.store(y + s, f32x4.mul(a, v128.load(x + s)));
}

/** y := x / ‖x‖, or zero where x is */
@inline
export function normalize(x: usize, y: usize, bytes: usize): void {
  const square = dot(x, x, bytes);
  scale(square > 0 ? <f32>(1 / sqrt(square)) : 0, x, y, bytes);
}
