import { entryAt, SIDE, tileAt } from './dense-tile';
import { Visitor } from './sweep';
import { F64s, I32s, View } from './views';

/** Where the columns of G go: tiles of float32 or float64. */
@unmanaged
export class TileColumns {
  tiles: usize;
  single: i32;
}

@inline
function put(c: TileColumns, i: i32, j: i32, value: f64): void {
  const I = i / SIDE, J = j / SIDE;
  if (c.single) store<f32>(entryAt<f32>(tileAt<f32>(c.tiles, I, J), i % SIDE, j % SIDE), <f32>value);
  else store<f64>(entryAt<f64>(tileAt<f64>(c.tiles, I, J), i % SIDE, j % SIDE), value);
}

// A_ij := G_ij for the rows i > j of column j: a visitor of a sweep with lists
@inline
function sums<A>(v: Visitor, a: View<A>, list: I32s, count: i32, base: A, j: i32): void {
  const c = changetype<TileColumns>(v.state);
  for (let e = 0; e < count; e++) put(c, list[e], j, <f64>(a[list[e]] - base));
}

function putI32(v: Visitor, a: View<i32>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  sums<i32>(v, a, list, count, <i32>base, j);
}
function putI64(v: Visitor, a: View<i64>, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  sums<i64>(v, a, list, count, base, j);
}
function putF64(v: Visitor, a: F64s, list: I32s, count: i32, base: i64, tail: usize, j: i32): void {
  const c = changetype<TileColumns>(v.state);
  for (let e = 0; e < count; e++) {
    const i = v.place[list[e]];
    if (i > j) put(c, i, j, a[e]);
  }
}

/** Index in the module's table of what fills tiles, for sums of a width: 0 i32, 1 i64, 2 f64. Its state: `TileColumns`. */
export function tilesTake(width: i32): u32 {
  return width == 0 ? putI32.index : width == 1 ? putI64.index : putF64.index;
}
