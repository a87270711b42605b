import { combine, dot, normalize } from './dense-row';
import { SIDE } from './dense-tile';

/** Keeps a step finite where a gradient has always been zero. */
const EPSILON: f32 = 1e-12;

/** Decays of the two moments. */
const FIRST: f32 = 0.9;
const SECOND: f32 = 0.99;

/**
 * One step of Adam (Kingma & Ba 2015, Algorithm 1) for 64 rows of W along the gradient g + 2z less its part along the row of A,
 * which has unit norm: m := β₁m + (1 − β₁)g, v := β₂v + (1 − β₂)g², w −= rate · (m / c₁) / √(v / c₂). g becomes zero. Rows of Z are
 * those of this call alone. With W = A rows are normalised again.
 */
export function adam(
  task: i32, scratch: usize, rows: i32, A: usize, W: usize, G: usize, Z: usize, M: usize, V: usize, width: i32,
  rate: f64, c1: f64, c2: f64,
): void {
  const stride = <usize>width << 2;
  const one = f32x4.splat(1 - FIRST), two = f32x4.splat(1 - SECOND), tiny = f32x4.splat(EPSILON), zero = f32x4.splat(0);
  const decay1 = f32x4.splat(FIRST), decay2 = f32x4.splat(SECOND);
  const step = f32x4.splat(<f32>(rate / c1)), spread = f32x4.splat(<f32>(1 / sqrt(c2)));
  for (let i = task * SIDE, end = min(rows, i + SIDE); i < end; i++) {
    const at = <usize>i * stride;
    const a = A + at, w = W + at, g = G + at, m = M + at, v = V + at;
    combine(2, Z + at, 1, g, stride);
    combine(<f32>-dot(a, g, stride), a, 1, g, stride);
    for (let s: usize = 0; s < stride; s += 16) {
      const x = v128.load(g + s);
      const first = f32x4.add(f32x4.mul(decay1, v128.load(m + s)), f32x4.mul(one, x));
      const second = f32x4.add(f32x4.mul(decay2, v128.load(v + s)), f32x4.mul(two, f32x4.mul(x, x)));
      v128.store(m + s, first);
      v128.store(v + s, second);
      v128.store(g + s, zero);
      const size = f32x4.add(f32x4.mul(f32x4.sqrt(second), spread), tiny);
      v128.store(w + s, f32x4.sub(v128.load(w + s), f32x4.div(f32x4.mul(step, first), size)));
    }
    if (W == A) normalize(w, w, stride);
  }
}
