import { combine, dot } from './dense-row';
import { SIDE } from './dense-tile';
import { F32s, F64s } from './views';

/** ‖prediction‖² below this part of ‖x‖² is rounding: such a user has no direction. */
const ROUNDING: f64 = 1e-10;

/**
 * The terms of ELSA's loss −Σ_u cos(x_u, x_u(AAᵀ − I)) (Vančura et al. 2022, eq. 4) for 64 users, from y_u = x_u A and z_u = y_u AᵀA:
 * with d = ‖x‖², q = ‖y‖², a = q − d and b = y·z − 2q + d it is a / √(d b). z becomes the gradient by y,
 * −2/√(db) y + h (2z − 4y) with h = a / (2b √(db)), h_u is that of AᵀA, and `cosines` at `task` is Σ cos. `squares` holds d.
 */
export function elsaUsers(
  task: i32, scratch: usize, rows: i32, squares: F64s, Y: usize, Z: usize, width: i32, h: F32s, cosines: F64s,
): void {
  const stride = <usize>width << 2;
  let sum: f64 = 0;
  for (let u = task * SIDE, end = min(rows, u + SIDE); u < end; u++) {
    const y = Y + <usize>u * stride, z = Z + <usize>u * stride;
    const d = squares[u];
    const q = dot(y, y, stride);
    const a = q - d;
    const b = dot(y, z, stride) - 2 * q + d;
    if (!(b > ROUNDING * d)) {
      h[u] = 0;
      combine(0, y, 0, z, stride);
      continue;
    }
    const root = 1 / sqrt(d * b);
    const slope = a * root / (2 * b);
    sum += a * root;
    h[u] = <f32>slope;
    combine(<f32>(-2 * root - 4 * slope), y, <f32>(2 * slope), z, stride);
  }
  cosines[task] = sum;
}
