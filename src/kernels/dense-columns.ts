import { entryAt, SIDE, tileAt } from './dense-tile';
import { F64s, I32s, View } from './views';

/** Where the columns of G go: tiles of float32 or float64. */
@unmanaged
export class TileColumns {
  tiles: usize;
  single: i32;
}

// A_ij := G_ij for the rows i > j of column j: a visitor of a sweep with lists
@inline
function put<A>(c: TileColumns, a: View<A>, list: I32s, count: i32, base: A, j: i32): void {
  const J = j / SIDE, column = j % SIDE;
  for (let e = 0; e < count; e++) {
    const i = list[e];
    const value = <f64>(a[isFloat<A>() ? e : i] - base);
    if (c.single) store<f32>(entryAt<f32>(tileAt<f32>(c.tiles, i / SIDE, J), i % SIDE, column), <f32>value);
    else store<f64>(entryAt<f64>(tileAt<f64>(c.tiles, i / SIDE, J), i % SIDE, column), value);
  }
}

function putI32(c: TileColumns, a: View<i32>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  put<i32>(c, a, list, count, <i32>base, j);
}
function putI64(c: TileColumns, a: View<i64>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  put<i64>(c, a, list, count, base, j);
}
function putF64(c: TileColumns, a: F64s, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  put<f64>(c, a, list, count, 0, j);
}

/** Index in the module's table of what fills tiles, for sums of a width: 0 i32, 1 i64, 2 f64. Its state: `TileColumns`. */
export function tilesTake(width: i32): u32 {
  return width == 0 ? putI32.index : width == 1 ? putI64.index : putF64.index;
}
