import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import { isSingle, type Precision, SIDE, type Tiles, tileBytes } from './tiles.js';

/** The inverses of the factor's diagonal tiles, or the column with its pivot ≤ 0 where the matrix is not positive definite. */
export type CholeskyResult =
  | { readonly ok: true; readonly inverses: Address }
  | { readonly ok: false; readonly column: number; readonly pivot: number };

/** Bytes of the inverses of the diagonal tiles, which stay, and of factorizing. */
export function factorBytes(n: number, precision: Precision, threads: number) {
  const size = tileBytes(precision);
  return { kept: Math.ceil(n / SIDE) * size, making: 8 * SIDE * SIDE + 8 + threads * size };
}

/**
 * L with L Lᵀ = A in place of A, by columns of tiles: each is updated by those before it, then divided by its diagonal tile,
 * whose inverse stays in the arena. Every tile is summed up by one task in a fixed order: the threads do not show.
 */
export function factorize(
  arena: Arena,
  threads: Threads,
  A: Tiles,
  report: (fraction: number) => void = () => {},
): CholeskyResult {
  const single = isSingle(A);
  const size = tileBytes(A.precision);
  const inverses = arena.bytes(A.rows * size, 'diagonal of the factor');
  const mark = arena.mark();
  const own = arena.bytes(8 * SIDE * SIDE, 'diagonal tile');
  const pivot = arena.bytes(8, 'pivot');
  const scratch = arena.bytes(threads.size * size, 'tile of a thread');
  let done = 0;
  for (let J = 0; J < A.rows; J++) {
    const column = arena.kernels.factorDiagonal(own, A.address, inverses, J, pivot, single);
    if (column >= 0) return { ok: false, column, pivot: arena.f64(pivot, 1)[0]! };
    const args = [A.address, inverses, J, single] as const;
    const tasks = A.rows - J - 1;
    threads.run({ kernel: 'factorTile', tasks, args, scratch, scratchBytes: size });
    done += tasks * (J + 1);
    report((6 * done) / (A.rows ** 3 || 1));
  }
  arena.release(mark);
  return { ok: true, inverses };
}
