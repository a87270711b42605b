/**
 * The blocked factor and inverse against the textbook's on arrays of rows, for sizes around the edges of a tile, that the
 * number of threads does not show, and the condition up to which float32 suffices.
 */
import { describe, expect, it } from 'vitest';
import { factorize } from '#src/matrix/cholesky.js';
import { invertLower, multiplyInverse } from '#src/matrix/inverse.js';
import { entriesOf, indexOf, type Precision, type Tiles, zeroTiles } from '#src/matrix/tiles.js';
import { build, cholesky, type Dense, distance, gramOf, inverse } from '../../support/dense.js';
import { randomX, seeded } from '../../support/random.js';
import { arenaWithThreads } from '../../support/threads.js';

const { arena, one, three } = arenaWithThreads(64 << 20);

/** XᵀX + λI of random interactions. */
function shifted(n: number, lambda: number): Dense {
  const G = gramOf(randomX(seeded(n), 2 * n, n, 0.1, 3), n);
  return build(n, n, (i, j) => G[i]![j]! + (i === j ? lambda : 0));
}

function fill(A: Dense, precision: Precision): Tiles {
  const tiles = zeroTiles(arena, A.length, precision);
  const entries = entriesOf(arena, tiles);
  A.forEach((row, i) => {
    row.forEach((a, j) => {
      if (j <= i) entries[indexOf(precision, i, j)] = a;
    });
  });
  return tiles;
}

/** The lower triangle in the arena as a dense matrix, mirrored where it is symmetric. */
function read(tiles: Tiles, symmetric: boolean): Dense {
  const entries = entriesOf(arena, tiles);
  const at = (i: number, j: number) => entries[indexOf(tiles.precision, i, j)]!;
  return build(tiles.n, tiles.n, (i, j) => (i >= j ? at(i, j) : symmetric ? at(j, i) : 0));
}

function invert(A: Dense, precision: Precision, threads = one): Dense | undefined {
  const mark = arena.mark();
  const tiles = fill(A, precision);
  const factor = factorize(arena, threads, tiles);
  if (factor.ok) {
    invertLower(arena, threads, tiles, factor.inverses);
    multiplyInverse(arena, threads, tiles);
  }
  const result = factor.ok ? read(tiles, true) : undefined;
  arena.release(mark);
  return result;
}

/** −M_ij / M_jj: what the model is made of. */
const weights = (M: Dense): Dense => build(M.length, M.length, (i, j) => -M[i]![j]! / M[j]![j]!);

describe.each([1, 4, 63, 64, 65, 150, 200])('A of %i × itself', n => {
  const A = shifted(n, 5);

  it('has its factor', () => {
    const mark = arena.mark();
    const tiles = fill(A, 'float64');
    expect(factorize(arena, one, tiles)).toMatchObject({ ok: true });
    expect(distance(read(tiles, false), cholesky(A))).toBeLessThan(1e-11);
    arena.release(mark);
  });

  it('has its inverse, bitwise the same on any number of threads', () => {
    const M = invert(A, 'float64');
    expect(distance(M!, inverse(A))).toBeLessThan(1e-12);
    expect(invert(A, 'float64', three)).toEqual(M);
    expect(invert(A, 'float32', three)).toEqual(invert(A, 'float32'));
  });
});

it('float32 suffices as long as the condition is below 10⁴, and does not at 10⁸', () => {
  const n = 150;
  const G = gramOf(randomX(seeded(1), n / 3, n, 0.1), n); // of rank n / 3: λ is the least eigenvalue
  const most = Math.max(...G.map(row => row.reduce((a, b) => a + b, 0)));
  const at = (condition: number) => build(n, n, (i, j) => G[i]![j]! + (i === j ? most / (condition - 1) : 0));
  const error = (condition: number, precision: Precision) => {
    const M = invert(at(condition), precision);
    return M ? distance(weights(M), weights(inverse(at(condition)))) : Number.POSITIVE_INFINITY;
  };
  expect(error(1e4, 'float32')).toBeLessThan(1e-3);
  expect(error(1e8, 'float32')).toBeGreaterThan(1e-2);
  expect(error(1e8, 'float64')).toBeLessThan(1e-6);
});

it('names the first column whose pivot is not positive', () => {
  const A = shifted(100, 5);
  A[70]![70] = -1;
  const mark = arena.mark();
  const result = factorize(arena, one, fill(A, 'float64'));
  arena.release(mark);
  expect(result).toMatchObject({ ok: false, column: 70 });
  expect(result.ok ? 0 : result.pivot).toBeLessThan(-1);
});
