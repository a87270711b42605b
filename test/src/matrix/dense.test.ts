/** Products of dense float32 matrices with sparse and dense ones against loops over their entries, for any number of threads. */
import { describe, expect, it } from 'vitest';
import {
  addGram,
  gather,
  mirror,
  multiply,
  type Square,
  squareIndex,
  zeroDense,
  zeroSquare,
} from '#src/matrix/dense.js';
import { record } from '#src/runtime/records.js';
import type { Threads } from '#src/runtime/threads.js';
import { build, distance, type Dense as Matrix, multiply as product } from '../../support/dense.js';
import { randomX, rowsOf, seeded } from '../../support/random.js';
import { arenaWithThreads, placeDense, readDense } from '../../support/threads.js';

const { arena, one, three } = arenaWithThreads(64 << 20);

/** An m × n matrix of float32. */
function randomMatrix(m: number, n: number, seed: number): Matrix {
  const random = seeded(seed);
  return build(m, n, () => Math.fround(random() - 0.5));
}

function readSquare({ width, address }: Square, columns: number): Matrix {
  const entries = arena.f32(address, width * width);
  return build(columns, columns, (i, j) => entries[squareIndex(width, i, j)]!);
}

const transposed = (A: Matrix): Matrix => build(A[0]!.length, A.length, (i, j) => A[j]![i]!);

/** The same result on one thread and on three. */
function onAny<T>(run: (threads: Threads) => T): T {
  const result = run(one);
  expect(run(three)).toEqual(result);
  return result;
}

describe.each([
  [1, 5],
  [63, 64],
  [130, 70],
  [200, 130],
])('%i rows of %i latents', (rows, latents) => {
  const Y = randomMatrix(rows, latents, rows);

  it('times a square', () => {
    const T = randomMatrix(latents, latents, 2);
    const Z = onAny(threads => {
      const mark = arena.mark();
      const square = zeroSquare(arena, latents, 'a test');
      const entries = arena.f32(square.address, square.width ** 2);
      T.forEach((row, i) => {
        row.forEach((t, j) => {
          entries[squareIndex(square.width, i, j)] = t;
        });
      });
      const out = zeroDense(arena, rows, latents, 'a test');
      multiply(threads, placeDense(arena, Y, latents), square, out);
      const result = readDense(arena, out, latents);
      arena.release(mark);
      return result;
    });
    expect(distance(Z, product(Y, transposed(T)))).toBeLessThan(1e-5);
  });

  it.each([false, true])('times themselves, weighted %s, on top of what was there', weighted => {
    const h = Float32Array.from({ length: rows }, (_, u) => (weighted ? 1 - 3 * (u % 2) : 1));
    const C = onAny(threads => {
      const mark = arena.mark();
      const square = zeroSquare(arena, latents, 'a test');
      const weights = weighted ? arena.copy(h, 'a test') : 0;
      for (const _ of [1, 2]) addGram(arena, threads, placeDense(arena, Y, latents), weights, square);
      mirror(arena, square);
      const result = readSquare(square, latents);
      arena.release(mark);
      return result;
    });
    const weightedRows = Y.map((row, u) => row.map(y => 2 * h[u]! * y));
    expect(distance(C, product(transposed(weightedRows), Y))).toBeLessThan(1e-4);
  });

  it.each([1, 3])(
    'of which a sparse matrix of values up to %i takes sums, whole and in strips of columns',
    most => {
      const X = randomX(seeded(3), 150, rows, 0.2, most);
      const { indptr, indices, values } = rowsOf(X, rows);
      for (const strip of [rows, 50]) {
        const sums = onAny(threads => {
          const mark = arena.mark();
          const A = placeDense(arena, Y, latents);
          const out = zeroDense(arena, 150, latents, 'a test');
          const parts = {
            indptr: arena.copy(indptr, 'a test'),
            indices: arena.copy(indices, 'a test'),
            values: arena.copy(values && Float32Array.from(values), 'a test'),
          };
          const sparse = { rows: 150, ...parts, record: record(arena, 'Lines', parts, 'a test') };
          const cursor = arena.bytes(4 * 150, 'a test');
          arena.i32(cursor, 150).set(indptr.subarray(0, 150));
          for (let first = 0; first < rows; first += strip) {
            const part = { ...A, address: A.address + 4 * first * A.width };
            gather(threads, sparse, { cursor, first, limit: first + strip }, part, out);
          }
          const result = readDense(arena, out, latents);
          arena.release(mark);
          return result;
        });
        expect(distance(sums, product(X, Y))).toBeLessThan(1e-4);
      }
    },
  );
});
