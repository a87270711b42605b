import type { Address, Arena } from '../runtime/arena.js';

/** Side of a tile, as in the kernels. */
export const SIDE = 64;

/** Of what the entries of a dense matrix are. */
export type Precision = 'float32' | 'float64';

/** A symmetric or lower triangular n × n matrix in the arena: tiles of 64 × 64, (I, J) with J ≤ I, row by row. */
export interface Tiles {
  readonly n: number;
  readonly precision: Precision;
  /** Rows of tiles: ⌈n / 64⌉. */
  readonly rows: number;
  readonly address: Address;
}

const bytesOf = (precision: Precision): number => (precision === 'float32' ? 4 : 8);

/** Whether the entries are float32, as the kernels want it. */
export const isSingle = ({ precision }: Tiles): number => Number(precision === 'float32');

/** Bytes of a tile. */
export const tileBytes = (precision: Precision): number => SIDE * SIDE * bytesOf(precision);

/** Bytes of the tiles of an n × n matrix. */
export function tilesBytes(n: number, precision: Precision): number {
  const rows = Math.ceil(n / SIDE);
  return ((rows * (rows + 1)) / 2) * tileBytes(precision);
}

/** A matrix of zeros, with ones on the diagonal past n, so that it has a factor whenever its first n rows have. */
export function zeroTiles(arena: Arena, n: number, precision: Precision): Tiles {
  const address = arena.zeros(tilesBytes(n, precision), 'dense matrix');
  const tiles = { n, precision, rows: Math.ceil(n / SIDE), address };
  const entries = entriesOf(arena, tiles);
  for (let i = n; i < tiles.rows * SIDE; i++) entries[indexOf(precision, i, i)] = 1;
  return tiles;
}

/** The entries of all tiles. */
export function entriesOf(arena: Arena, { n, precision, address }: Tiles): Float32Array | Float64Array {
  const length = tilesBytes(n, precision) / bytesOf(precision);
  return precision === 'float32' ? arena.f32(address, length) : arena.f64(address, length);
}

/** Where entry (i, j) lies among those of all tiles, j / 64 ≤ i / 64; see the kernel `dense-tile`. */
export function indexOf(precision: Precision, i: number, j: number): number {
  const [I, J] = [Math.floor(i / SIDE), Math.floor(j / SIDE)];
  const panel = 32 / bytesOf(precision);
  const row = i % SIDE;
  const tile = ((I * (I + 1)) / 2 + J) * SIDE * SIDE;
  return tile + Math.floor(row / panel) * panel * SIDE + (j % SIDE) * panel + (row % panel);
}
