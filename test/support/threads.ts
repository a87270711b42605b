import { afterAll } from 'vitest';
import { type Dense, zeroDense } from '#src/matrix/dense.js';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';
import { build, type Dense as Matrix } from './dense.js';

/** An arena of `bytes` with one thread and with three, which end with the tests of the file. */
export function arenaWithThreads(bytes: number) {
  const arena = new Arena(bytes);
  const one = new Threads(arena, 1);
  const three = new Threads(arena, 3);
  afterAll(async () => {
    await Promise.all([one.close(), three.close()]);
  });
  return { arena, one, three };
}

/** Puts a matrix into the arena. */
export function placeDense(arena: Arena, A: Matrix, width = A[0]!.length): Dense {
  const dense = zeroDense(arena, A.length, width, 'a test');
  const entries = arena.f32(dense.address, dense.rows * dense.width);
  A.forEach((row, i) => {
    entries.set(row, i * dense.width);
  });
  return dense;
}

/** The first `columns` columns of a matrix in the arena. */
export function readDense(arena: Arena, { rows, width, address }: Dense, columns: number): Matrix {
  const entries = arena.f32(address, rows * width);
  return build(rows, columns, (i, j) => entries[i * width + j]!);
}
