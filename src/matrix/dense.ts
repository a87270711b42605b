import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';

/** Rows of a task of the kernels below, and the side of a tile. */
export const CHUNK = 64;
const TILE_BYTES = 4 * CHUNK * CHUNK;

/** A dense float32 matrix in the arena, row-major; its width is a multiple of 64. */
export interface Dense {
  readonly rows: number;
  readonly width: number;
  readonly address: Address;
}

/** A square float32 matrix in tiles of 64 × 64, row by row of tiles; see the kernel `dense-tile`. */
export interface Square {
  readonly width: number;
  readonly address: Address;
}

/** A sparse matrix in the arena by rows; `values` are float32, address 0 where all are 1. */
export interface Sparse {
  readonly rows: number;
  readonly indptr: Address;
  readonly indices: Address;
  readonly values: Address;
}

/** `width`, up to whole tiles. */
export const wholeTiles = (width: number): number => Math.max(1, Math.ceil(width / CHUNK)) * CHUNK;

/** Bytes of a `Dense`: whole chunks of rows. */
export const denseBytes = (rows: number, width: number): number => 4 * wholeTiles(rows) * width;

/** Bytes of a `Square`. */
export const squareBytes = (width: number): number => 4 * width * width;

/** A dense matrix of zeros; `width` is brought up to whole tiles. */
export function zeroDense(arena: Arena, rows: number, width: number, what: string): Dense {
  return { rows, width: wholeTiles(width), address: arena.zeros(denseBytes(rows, wholeTiles(width)), what) };
}

/** A square matrix of zeros; `width` is brought up to whole tiles. */
export function zeroSquare(arena: Arena, width: number, what: string): Square {
  return { width: wholeTiles(width), address: arena.zeros(squareBytes(wholeTiles(width)), what) };
}

/** Rows lo … hi of a dense matrix; lo is a multiple of 64. */
export function rowsOf(A: Dense, lo: number, hi: number): Dense {
  return { rows: hi - lo, width: A.width, address: A.address + 4 * lo * A.width };
}

/** A := 0 */
export function clear(arena: Arena, A: Dense): void {
  arena.f32(A.address, A.rows * A.width).fill(0);
}

/** Where entry (i, j) of a `Square` lies. */
export function squareIndex(width: number, i: number, j: number): number {
  const tile = Math.floor(i / CHUNK) * (width / CHUNK) + Math.floor(j / CHUNK);
  const row = i % CHUNK;
  return tile * CHUNK * CHUNK + Math.floor(row / 8) * 8 * CHUNK + (j % CHUNK) * 8 + (row % 8);
}

/** Tasks of a kernel that takes 64 rows at a time. */
export const chunks = (rows: number): number => Math.ceil(rows / CHUNK);

/**
 * Y += X A, where row j of X begins at `cursor[j]` (I32s in the arena, moved on) and ends before column `limit`; row 0 of A belongs to
 * column `first` of X.
 */
export function gather(
  threads: Threads,
  X: Sparse & { readonly record: Address },
  { cursor, first, limit }: { readonly cursor: Address; readonly first: number; readonly limit: number },
  A: Dense,
  Y: Dense,
): void {
  const origin = (A.address - 4 * first * A.width) >>> 0;
  const args = [X.rows, X.record, cursor, limit, origin, Y.address, Y.width] as const;
  threads.run({ kernel: 'gather', tasks: chunks(X.rows), args });
}

/** Y += diag(h) X A for sparse X and A; `h` (F32[rows] in the arena) is address 0 where all are 1. */
export function scatter(
  threads: Threads,
  X: { readonly rows: number; readonly record: Address },
  h: Address,
  A: { readonly record: Address },
  Y: Dense,
): void {
  const args = [X.rows, X.record, h, A.record, Y.address, Y.width] as const;
  threads.run({ kernel: 'scatter', tasks: chunks(X.rows), args });
}

/** Z := Y Tᵀ */
export function multiply(threads: Threads, Y: Dense, T: Square, Z: Dense): void {
  const args = [Y.rows, Y.address, T.address, T.width / CHUNK, Z.address] as const;
  threads.run({ kernel: 'multiply', tasks: chunks(Y.rows), args });
}

/** Scratch of a thread in `addGram`. */
export const gramScratch = 2 * TILE_BYTES;

/** C += Yᵀ diag(h) Y, its lower triangle of tiles; h (F32[rows] in the arena) is address 0 where all are 1. */
export function addGram(arena: Arena, threads: Threads, Y: Dense, h: Address, C: Square): void {
  const count = C.width / CHUNK;
  const mark = arena.mark();
  const scratch = arena.bytes(gramScratch * threads.size, 'tiles of a thread');
  const args = [Y.rows, Y.address, h, C.address, count] as const;
  const tasks = (count * (count + 1)) / 2;
  threads.run({ kernel: 'gram', tasks, args, scratch, scratchBytes: gramScratch });
  arena.release(mark);
}

/** The upper triangle of tiles from the lower one. */
export function mirror(arena: Arena, C: Square): void {
  arena.kernels.mirror!(C.address, C.width / CHUNK);
}
