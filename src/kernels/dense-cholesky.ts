import { addProduct, entryAt, SIDE, tileAt, tileBytes } from './dense-tile';
import { F64s, from } from './views';

/**
 * L_JJ L_JJᵀ = A_JJ in place, and L_JJ⁻¹ to tile J of `inverses`; the tile is what earlier columns left of it. Returns the
 * first column whose pivot is not positive, which then is `pivot`, or −1. Scratch: F64[64 · 64]. Sums are in f64.
 */
@inline
function diagonalTile<T>(scratch: usize, tiles: usize, inverses: usize, J: i32, pivot: F64s): i32 {
  const tile = tileAt<T>(tiles, J, J);
  const inverse = inverses + <usize>J * tileBytes<T>();
  const L = changetype<F64s>(scratch);
  for (let i = 0; i < SIDE; i++) {
    const row = from(L, i * SIDE);
    for (let j = 0; j < SIDE; j++) row[j] = j > i ? 0 : <f64>load<T>(entryAt<T>(tile, i, j));
  }
  for (let i = 0; i < SIDE; i++) {
    const row = from(L, i * SIDE);
    for (let j = 0; j <= i; j++) {
      const other = from(L, j * SIDE);
      let sum = row[j];
      for (let k = 0; k < j; k++) sum -= row[k] * other[k];
      if (j < i) row[j] = sum / other[j];
      else if (sum > 0) row[j] = sqrt(sum);
      else {
        pivot[0] = sum;
        return J * SIDE + i;
      }
    }
  }
  for (let i = 0; i < SIDE; i++) {
    for (let j = 0; j < SIDE; j++) store<T>(entryAt<T>(tile, i, j), <T>L[i * SIDE + j]);
  }
  // W L = I, row by row in place: W_ij = −(Σ_{k > j} W_ik L_kj) / L_jj needs the rows of L above i, so i descends
  for (let i = SIDE - 1; i >= 0; i--) {
    const row = from(L, i * SIDE);
    row[i] = 1 / row[i];
    for (let j = 0; j < i; j++) row[j] *= -row[i];
    for (let j = i - 1; j >= 0; j--) {
      const other = from(L, j * SIDE);
      const w = row[j] / other[j];
      row[j] = w;
      for (let k = 0; k < j; k++) row[k] -= w * other[k];
    }
  }
  for (let i = 0; i < SIDE; i++) {
    for (let j = 0; j < SIDE; j++) store<T>(entryAt<T>(inverse, i, j), <T>L[i * SIDE + j]);
  }
  return -1;
}

/**
 * L_IJ = (A_IJ − Σ_{K < J} L_IK L_JKᵀ) L_JJ⁻ᵀ for I = J + 1 + task, and A_II −= L_IJ L_IJᵀ, so that A_JJ is ready when its
 * turn comes. Scratch: a tile.
 */
@inline
function tile<T>(task: i32, scratch: usize, tiles: usize, inverses: usize, J: i32): void {
  const I = J + 1 + task;
  const to = tileAt<T>(tiles, I, J);
  for (let K = 0; K < J; K++) addProduct<T>(tileAt<T>(tiles, I, K), tileAt<T>(tiles, J, K), to, true);
  memory.copy(scratch, to, tileBytes<T>());
  memory.fill(to, 0, tileBytes<T>());
  addProduct<T>(scratch, inverses + <usize>J * tileBytes<T>(), to, false);
  addProduct<T>(to, to, tileAt<T>(tiles, I, I), true);
}

export function factorDiagonal(scratch: usize, tiles: usize, inverses: usize, J: i32, pivot: F64s, single: bool): i32 {
  return single
    ? diagonalTile<f32>(scratch, tiles, inverses, J, pivot)
    : diagonalTile<f64>(scratch, tiles, inverses, J, pivot);
}

export function factorTile(task: i32, scratch: usize, tiles: usize, inverses: usize, J: i32, single: bool): void {
  if (single) tile<f32>(task, scratch, tiles, inverses, J);
  else tile<f64>(task, scratch, tiles, inverses, J);
}
