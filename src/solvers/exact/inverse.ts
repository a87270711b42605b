import type { Address, Arena } from '../../runtime/arena.js';
import type { Threads } from '../../runtime/threads.js';
import { type Tiles, tileBytes } from './tiles.js';

/**
 * A⁻¹ in place of the factor L of A, from the inverses of its diagonal tiles: W = L⁻¹, which is kept transposed so that
 * every product is of the form A Bᵀ, and then WᵀW. Both go by rows of tiles; within a row tasks are independent.
 */
export function invertFactor(
  arena: Arena,
  threads: Threads,
  L: Tiles,
  inverses: Address,
  report: (fraction: number) => void = () => {},
): void {
  const suffix = L.precision === 'float32' ? 'F32' : 'F64';
  const size = tileBytes(L.precision);
  const tileOf = (I: number, J: number): Address => L.address + ((I * (I + 1)) / 2 + J) * size;
  const mark = arena.mark();
  const row = arena.bytes(Math.max(1, L.rows) * size, 'row of the factor');
  const scratch = arena.bytes(threads.size * size, 'tile of a thread');
  const all = (L.rows * (L.rows + 1) * (L.rows + 2)) / 3 || 1;
  let done = 0;
  for (let I = 0; I < L.rows; I++) {
    arena.u8(row, I * size).set(arena.u8(tileOf(I, 0), I * size));
    const args = [L.address, inverses, row, I];
    threads.run({ kernel: `invertTile${suffix}`, tasks: I, args, scratch, scratchBytes: size });
    arena.kernels[`transposeDiagonal${suffix}`]!(L.address, inverses, I);
    done += (I * (I + 1)) / 2;
    report(done / all);
  }
  for (let I = 0; I < L.rows; I++) {
    arena.u8(row, size).set(arena.u8(tileOf(I, I), size));
    const args = [L.address, row, I, L.rows];
    threads.run({ kernel: `gramTile${suffix}`, tasks: I + 1, args, scratch, scratchBytes: size });
    done += (I + 1) * (L.rows - I);
    report(Math.min(1, done / all));
  }
  arena.release(mark);
}
