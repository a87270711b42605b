import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import { isSingle, type Precision, SIDE, type Tiles, tileBytes } from './tiles.js';

/** Bytes that inverting a factor takes beside it. */
export const inverseBytes = (n: number, precision: Precision, threads: number): number =>
  (Math.ceil(n / SIDE) + threads) * tileBytes(precision);

const tileOf = (A: Tiles, I: number, J: number): Address =>
  A.address + ((I * (I + 1)) / 2 + J) * tileBytes(A.precision);

/**
 * Wᵀ of W = L⁻¹ in place of L, tile by tile, from the inverses of its diagonal tiles: tile (I, J) becomes that of W, transposed, so
 * that the products to come are of the form A Bᵀ. Rows of tiles come one after the other, the tasks of one are independent.
 */
export function invertLower(
  arena: Arena,
  threads: Threads,
  L: Tiles,
  inverses: Address,
  report: (fraction: number) => void = () => {},
): void {
  const size = tileBytes(L.precision);
  const mark = arena.mark();
  const row = arena.bytes(Math.max(1, L.rows) * size, 'row of the factor');
  const scratch = arena.bytes(threads.size * size, 'tile of a thread');
  for (let I = 0; I < L.rows; I++) {
    report((I / L.rows) ** 3);
    arena.u8(row, I * size).set(arena.u8(tileOf(L, I, 0), I * size));
    const args = [L.address, inverses, row, I, isSingle(L)] as const;
    threads.run({ kernel: 'invertTile', tasks: I, args, scratch, scratchBytes: size });
    arena.kernels.transposeDiagonal(L.address, inverses, I, isSingle(L));
  }
  arena.release(mark);
}

/** WᵀW in place of what `invertLower` leaves: A⁻¹ for A = L Lᵀ. */
export function multiplyInverse(
  arena: Arena,
  threads: Threads,
  W: Tiles,
  report: (fraction: number) => void = () => {},
): void {
  const size = tileBytes(W.precision);
  const mark = arena.mark();
  const diagonal = arena.bytes(size, 'diagonal tile');
  const scratch = arena.bytes(threads.size * size, 'tile of a thread');
  for (let I = 0; I < W.rows; I++) {
    report(1 - (1 - I / W.rows) ** 2 * (1 + (2 * I) / W.rows));
    arena.u8(diagonal, size).set(arena.u8(tileOf(W, I, I), size));
    const args = [W.address, diagonal, I, W.rows, isSingle(W)] as const;
    threads.run({ kernel: 'productTile', tasks: I + 1, args, scratch, scratchBytes: size });
  }
  arena.release(mark);
}
