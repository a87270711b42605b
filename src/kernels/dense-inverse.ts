import { addProduct, entryAt, SIDE, tileAt, tileBytes } from './dense-tile';

/**
 * Wᵀ of W = L⁻¹ in place of L, row by row of tiles: W_IJ = −L_II⁻¹ Σ_{J ≤ K < I} L_IK W_KJ for J = task, its transpose to tile
 * (I, J). `row` holds a copy of L_I0 … L_I,I−1, because other tasks of the row read what this one writes over. Scratch: a tile.
 */
@inline
function inverseTile<T>(task: i32, scratch: usize, tiles: usize, inverses: usize, row: usize, I: i32): void {
  const size = tileBytes<T>();
  const tile = tileAt<T>(tiles, I, task);
  memory.fill(scratch, 0, size);
  for (let K = task; K < I; K++) addProduct<T>(tileAt<T>(tiles, K, task), row + <usize>K * size, scratch, false);
  memory.fill(tile, 0, size);
  addProduct<T>(scratch, inverses + <usize>I * size, tile, true);
}

/** Tile (I, I) := (L_II⁻¹)ᵀ. */
@inline
function diagonalTile<T>(tiles: usize, inverses: usize, I: i32): void {
  const tile = tileAt<T>(tiles, I, I);
  const inverse = inverses + <usize>I * tileBytes<T>();
  for (let i = 0; i < SIDE; i++) {
    for (let j = 0; j < SIDE; j++) store<T>(entryAt<T>(tile, j, i), load<T>(entryAt<T>(inverse, i, j)));
  }
}

/**
 * A⁻¹ = WᵀW in place of Wᵀ, row by row of tiles: (A⁻¹)_IJ = Σ_{K ≥ I} W_KIᵀ W_KJ for J = task. `diagonal` holds a copy of tile
 * (I, I). Scratch: a tile.
 */
@inline
function gramTile<T>(task: i32, scratch: usize, tiles: usize, diagonal: usize, I: i32, count: i32): void {
  const size = tileBytes<T>();
  const tile = tileAt<T>(tiles, I, task);
  memory.fill(scratch, 0, size);
  addProduct<T>(diagonal, task == I ? diagonal : tile, scratch, false);
  for (let K = I + 1; K < count; K++) addProduct<T>(tileAt<T>(tiles, K, I), tileAt<T>(tiles, K, task), scratch, false);
  memory.copy(tile, scratch, size);
}

export function invertTile(
  task: i32, scratch: usize, tiles: usize, inverses: usize, row: usize, I: i32, single: bool,
): void {
  if (single) inverseTile<f32>(task, scratch, tiles, inverses, row, I);
  else inverseTile<f64>(task, scratch, tiles, inverses, row, I);
}

export function transposeDiagonal(tiles: usize, inverses: usize, I: i32, single: bool): void {
  if (single) diagonalTile<f32>(tiles, inverses, I);
  else diagonalTile<f64>(tiles, inverses, I);
}

export function productTile(
  task: i32, scratch: usize, tiles: usize, diagonal: usize, I: i32, count: i32, single: bool,
): void {
  if (single) gramTile<f32>(task, scratch, tiles, diagonal, I, count);
  else gramTile<f64>(task, scratch, tiles, diagonal, I, count);
}
