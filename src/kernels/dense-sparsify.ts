import { entryAt, SIDE, tileAt } from './dense-tile';
import { F32s, I32s } from './views';

/** The magnitude of an entry as float32, in the order of these. */
@inline
function keyOf<T>(at: usize): u32 {
  return reinterpret<u32>(abs(<f32>load<T>(at)));
}

/**
 * Adds the magnitudes below the diagonal in row `task` of tiles to the thread's bins: by their upper 16 bits, or by the lower ones
 * of those whose upper ones are `upper` ≥ 0. Scratch: I32[65536].
 */
@inline
function bins<T>(I: i32, scratch: usize, tiles: usize, n: i32, upper: i32): void {
  const counts = changetype<I32s>(scratch);
  for (let J = 0; J <= I; J++) {
    const tile = tileAt<T>(tiles, I, J);
    for (let j = 0; j < SIDE; j++) {
      for (let i = I == J ? j + 1 : 0, end = min(SIDE, n - I * SIDE); i < end; i++) {
        const key = keyOf<T>(entryAt<T>(tile, i, j));
        if (upper < 0) counts[key >>> 16] += 1;
        else if (<i32>(key >>> 16) == upper) counts[key & 0xffff] += 1;
      }
    }
  }
}

/**
 * The columns of column `task` of tiles, without the entries below the diagonal whose magnitude does not pass the key `bar`: without
 * `indices` only their lengths, to `indptr` one behind, then the entries, rows ascending.
 */
@inline
function columns<T>(
  J: i32, tiles: usize, rows: i32, n: i32, bar: u32, indptr: I32s, indices: I32s, data: F32s,
): void {
  const counting = changetype<usize>(indices) == 0;
  for (let j = 0; j < min(SIDE, n - J * SIDE); j++) {
    const column = J * SIDE + j;
    let p = counting ? 0 : indptr[column];
    for (let I = J; I < rows; I++) {
      const tile = tileAt<T>(tiles, I, J);
      for (let i = I == J ? j : 0, end = min(SIDE, n - I * SIDE); i < end; i++) {
        const entry = entryAt<T>(tile, i, j);
        if (keyOf<T>(entry) <= bar && !(I == J && i == j)) continue;
        if (!counting) {
          indices[p] = I * SIDE + i;
          data[p] = <f32>load<T>(entry);
        }
        p++;
      }
    }
    if (counting) indptr[column + 1] = p;
  }
}

export function magnitudeBins(task: i32, scratch: usize, tiles: usize, n: i32, upper: i32, single: bool): void {
  if (single) bins<f32>(task, scratch, tiles, n, upper);
  else bins<f64>(task, scratch, tiles, n, upper);
}

export function largeEntries(
  task: i32, scratch: usize, tiles: usize, rows: i32, n: i32, bar: u32, single: bool, indptr: I32s, indices: I32s, data: F32s,
): void {
  if (single) columns<f32>(task, tiles, rows, n, bar, indptr, indices, data);
  else columns<f64>(task, tiles, rows, n, bar, indptr, indices, data);
}
