import { bestAt, offer } from './best';
import { COLUMN, PANEL, panelRows, SIDE, tileAt } from './dense-tile';
import { ascending } from './sort';
import { F32s, F64s, from, I32s } from './views';

// Rows i … i + P of the symmetric M to `rows`, each n long: panel p of the tiles (I, J ≤ I), then columns of those below
@inline
function unpack<T>(tiles: usize, I: i32, p: i32, count: i32, n: i32, rows: F64s): void {
  const P = panelRows<T>();
  for (let J = 0; J <= I; J++) {
    const panel = tileAt<T>(tiles, I, J) + <usize>p * PANEL;
    for (let c = 0, end = min(SIDE, n - J * SIDE); c < end; c++) {
      for (let r = 0; r < P; r++) {
        rows[r * n + J * SIDE + c] = <f64>load<T>(panel + <usize>c * COLUMN + <usize>r * sizeof<T>());
      }
    }
  }
  for (let K = I + 1; K < count; K++) {
    const columns = tileAt<T>(tiles, K, I) + <usize>(p * P) * COLUMN;
    for (let k = 0, end = min(SIDE, n - K * SIDE); k < end; k++) {
      const at = columns + <usize>(k / P) * PANEL + <usize>(k % P) * sizeof<T>();
      for (let r = 0; r < P; r++) rows[r * n + K * SIDE + k] = <f64>load<T>(at + <usize>r * COLUMN);
    }
  }
}

/**
 * Rows of EASE, B_ij = −M_ij / M_jj off the diagonal (Steck 2019), of which the `width` entries of largest magnitude stay,
 * columns ascending, for the 64 rows of a row of tiles of M: row i is at i · width of `items` and `values`, `lengths[i]` long.
 * `reciprocals` holds 1 / M_jj. Scratch: F64[8 n], then a `Best`.
 */
@inline
function cut<T>(
  I: i32, scratch: usize, tiles: usize, count: i32, n: i32, reciprocals: F64s,
  width: i32, items: I32s, values: F32s, lengths: I32s,
): void {
  const P = panelRows<T>();
  const rows = changetype<F64s>(scratch);
  const best = bestAt(scratch + 64 * <usize>n, width);
  for (let p = 0; p < SIDE / P; p++) {
    const first = I * SIDE + p * P;
    if (first >= n) return;
    unpack<T>(tiles, I, p, count, n, rows);
    for (let i = first, end = min(n, first + P); i < end; i++) {
      const row = from(rows, (i - first) * n);
      best.length = 0;
      let bar: f64 = 0;
      for (let j = 0; j < n; j++) {
        const b = row[j] * reciprocals[j];
        const size = abs(b);
        row[j] = -b;
        if (j == i || size <= 0 || size < bar) continue;
        offer(best, width, size, j);
        if (best.length == width) bar = best.key[0];
      }
      const length = best.length;
      ascending(best.index, length);
      const to = from(items, i * width), x = from(values, i * width);
      for (let e = 0; e < length; e++) {
        to[e] = best.index[e];
        x[e] = <f32>row[best.index[e]];
      }
      lengths[i] = length;
    }
  }
}

export function cutRows(
  task: i32, scratch: usize, tiles: usize, count: i32, n: i32, single: bool, reciprocals: F64s,
  width: i32, items: I32s, values: F32s, lengths: I32s,
): void {
  if (single) cut<f32>(task, scratch, tiles, count, n, reciprocals, width, items, values, lengths);
  else cut<f64>(task, scratch, tiles, count, n, reciprocals, width, items, values, lengths);
}
