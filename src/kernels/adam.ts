import { combine, dot, scale } from './dense-row';
import { SIDE } from './dense-tile';
import { F64s } from './views';

/** Keeps a step finite where a gradient has always been zero. */
const EPSILON: f32 = 1e-12;

/** Decays of the two moments. */
const FIRST: f32 = 0.9;
const SECOND: f32 = 0.99;

/**
 * The moments of Adam (Kingma & Ba 2015, Algorithm 1) for 64 rows, from the gradient g + 2z less its part along the row of A,
 * which has unit norm: m := β₁m + (1 − β₁)g, v := β₂v + (1 − β₂)g². g becomes zero.
 */
export function adamMoments(
  task: i32, scratch: usize, rows: i32, A: usize, G: usize, Z: usize, M: usize, V: usize, width: i32,
): void {
  const stride = <usize>width << 2;
  const decay1 = f32x4.splat(FIRST), decay2 = f32x4.splat(SECOND);
  const rest1 = f32x4.splat(1 - FIRST), rest2 = f32x4.splat(1 - SECOND), zero = f32x4.splat(0);
  for (let i = task * SIDE, end = min(rows, i + SIDE); i < end; i++) {
    const at = <usize>i * stride;
    const a = A + at, g = G + at, m = M + at, v = V + at;
    combine(2, Z + at, 1, g, stride);
    combine(<f32>-dot(a, g, stride), a, 1, g, stride);
    for (let s: usize = 0; s < stride; s += 16) {
      const x = v128.load(g + s);
      v128.store(m + s, f32x4.add(f32x4.mul(decay1, v128.load(m + s)), f32x4.mul(rest1, x)));
      v128.store(v + s, f32x4.add(f32x4.mul(decay2, v128.load(v + s)), f32x4.mul(rest2, f32x4.mul(x, x))));
      v128.store(g + s, zero);
    }
  }
}

/**
 * W := W − α m / √(v / c₂) for 64 rows, `alpha` being divided by c₁ already. With `norms` rows are normalised, and their norms
 * kept: the step can be taken back in part, by a negative α and `again`.
 */
export function adamStep(
  task: i32, scratch: usize, rows: i32, W: usize, M: usize, V: usize, width: i32, alpha: f64, c2: f64, norms: F64s, again: bool,
): void {
  const stride = <usize>width << 2;
  const step = f32x4.splat(<f32>alpha), spread = f32x4.splat(<f32>(1 / sqrt(c2))), tiny = f32x4.splat(EPSILON);
  const normalized = changetype<usize>(norms) != 0;
  for (let i = task * SIDE, end = min(rows, i + SIDE); i < end; i++) {
    const at = <usize>i * stride;
    const w = W + at, m = M + at, v = V + at;
    if (normalized && again) scale(<f32>norms[i], w, w, stride);
    for (let s: usize = 0; s < stride; s += 16) {
      const size = f32x4.add(f32x4.mul(f32x4.sqrt(v128.load(v + s)), spread), tiny);
      v128.store(w + s, f32x4.sub(v128.load(w + s), f32x4.div(f32x4.mul(step, v128.load(m + s)), size)));
    }
    if (!normalized) continue;
    const norm = sqrt(dot(w, w, stride));
    norms[i] = norm;
    scale(norm > 0 ? <f32>(1 / norm) : 0, w, w, stride);
  }
}
