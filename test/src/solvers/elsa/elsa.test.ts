/**
 * ELSA's loss and gradient against the formula on dense arrays and its finite differences; its starts against the matrices they
 * come from; training: losses fall, rows keep their form, and the number of threads does not show.
 */
import { describe, expect, it } from 'vitest';
import { loadInteractions } from '#src/gramian/interactions.js';
import { type Dense, squareIndex, zeroDense } from '#src/matrix/dense.js';
import type { Rows } from '#src/matrix/rows.js';
import type { Threads } from '#src/runtime/threads.js';
import { prune, sparseObjective } from '#src/solvers/compressed-elsa/objective.js';
import { lossAndGradient, openPasses, type Passes } from '#src/solvers/elsa/gradient.js';
import { landmarkStart, spectralStart } from '#src/solvers/elsa/start.js';
import { denseObjective, train } from '#src/solvers/elsa/train.js';
import {
  build,
  distance,
  gramOf,
  type Dense as Matrix,
  multiply as product,
} from '../../../support/dense.js';
import { rowsOf, seeded } from '../../../support/random.js';
import { arenaWithThreads, placeDense, readDense } from '../../../support/threads.js';

const { arena, one, three } = arenaWithThreads(256 << 20);

const users = 5000; // more than a strip
const n = 80;

/** Users with a taste: they like the items of one of eight kinds, and now and then another. */
function interactions(most: number): Matrix {
  const random = seeded(7);
  return build(users, n, (u, i) =>
    u % 50 !== 3 && random() < (u % 8 === i % 8 ? 0.4 : 0.02) ? 1 + Math.floor(random() * most) : 0,
  );
}

function unitRows(latents: number): Matrix {
  const random = seeded(5);
  return build(n, latents, () => random() - 0.5).map(row => {
    const norm = Math.hypot(...row);
    return row.map(a => Math.fround(a / norm));
  });
}

/** −Σ_u cos(x_u, x_u(AAᵀ − I)), over users with interactions. */
function lossOf(X: Matrix, A: Matrix): number {
  let loss = 0;
  const B = build(n, n, (i, j) => A[i]!.reduce((s, a, c) => s + a * A[j]![c]!, 0) - (i === j ? 1 : 0));
  for (const x of X) {
    const p = B.map(row => row.reduce((s, b, j) => s + b * x[j]!, 0));
    const [dot, norms] = [x.reduce((s, v, i) => s + v * p[i]!, 0), Math.hypot(...x) * Math.hypot(...p)];
    if (norms > 0) loss -= dot / norms;
  }
  return loss;
}

function withPasses<T>(rows: Rows, latents: number, body: (p: Passes, diagonal: Float64Array) => T): T {
  const mark = arena.mark();
  const x = loadInteractions(
    arena,
    rows,
    Int32Array.from({ length: n }, (_, i) => i),
  );
  const result = body(openPasses(arena, x, Math.ceil(latents / 64) * 64), x.diagonal);
  arena.release(mark);
  return result;
}

/** The loss for A, and its whole gradient by A. */
function wholeGradient(rows: Rows, latents: number, A: Matrix): readonly [number, Matrix] {
  return withPasses(rows, latents, p => {
    const [dense, G] = [placeDense(arena, A), zeroDense(arena, n, latents, 'a test')];
    const loss = lossAndGradient(arena, one, p, dense, G);
    const square = arena.f32(p.M.address, p.M.width ** 2);
    const M = build(latents, latents, (i, j) => square[squareIndex(p.M.width, i, j)]!);
    const AM = product(A, M);
    return [
      loss,
      readDense(arena, G, latents).map((row, i) => row.map((g, c) => g + 2 * AM[i]![c]!)),
    ] as const;
  });
}

describe.each([1, 4])('values up to %i', most => {
  const X = interactions(most);
  const rows = rowsOf(X, n);
  const latents = 10;
  const A = unitRows(latents);

  it('the loss is that of the formula, and the gradient its finite differences', () => {
    const [loss, gradient] = wholeGradient(rows, latents, A);
    expect(Math.abs(loss - lossOf(X, A))).toBeLessThan(1e-5 * users);
    for (const [i, c] of [
      [0, 0],
      [17, 4],
      [79, 9],
    ] as const) {
      const step = 1e-4;
      const at = (by: number) =>
        lossOf(
          X,
          A.map((row, k) => row.map((a, l) => (k === i && l === c ? a + by : a))),
        );
      const slope = (at(step) - at(-step)) / (2 * step);
      expect(Math.abs(gradient[i]![c]! - slope)).toBeLessThan(1e-4 * Math.max(1, Math.abs(slope)));
    }
  });

  it('of a few entries a row are those of the same rows, dense', () => {
    const [kept, width] = [3, 16];
    const W = unitRows(width);
    const found = withPasses(rows, width, p => {
      const [w, G, spare] = [
        placeDense(arena, W),
        ...[1, 2].map(() => zeroDense(arena, n, width, 'a test')),
      ] as [Dense, Dense, Dense];
      const objective = sparseObjective(arena, one, p, w, spare, kept);
      const loss = objective.loss(G);
      const AM = readDense(arena, objective.rows(0, n).AM, width);
      const gradient = readDense(arena, G, width).map((row, i) => row.map((g, c) => g + 2 * AM[i]![c]!));
      objective.finish();
      return { loss, gradient, A: readDense(arena, w, width) };
    });
    const [loss, gradient] = wholeGradient(rows, width, found.A);
    expect(found.A.every(row => row.filter(a => a !== 0).length === kept)).toBe(true);
    expect(Math.abs(found.loss / loss - 1)).toBeLessThan(1e-5);
    const size = Math.max(...gradient.flat().map(Math.abs));
    expect(distance(found.gradient, gradient)).toBeLessThan(1e-5 * size);
  });

  it('starts from the span of the first eigenvectors', () => {
    const start = withPasses(rows, latents, (p, diagonal) => {
      const [a, spare] = [zeroDense(arena, n, 8, 'a test'), zeroDense(arena, n, 8, 'a test')];
      spectralStart(arena, one, p, diagonal, { rank: 8, seed: 1 }, a, spare);
      return readDense(arena, a, 8);
    });
    // One kind of items, one direction: items of a kind agree, those of others do not.
    const cosine = (i: number, j: number) => start[i]!.reduce((s, a, c) => s + a * start[j]![c]!, 0);
    expect(cosine(0, 8)).toBeGreaterThan(0.9);
    expect(cosine(0, 1)).toBeLessThan(0.5);
    expect(start.every(row => Math.abs(Math.hypot(...row) - 1) < 1e-6)).toBe(true);
  });

  it('starts from the columns of landmarks', () => {
    const landmarks = Int32Array.of(3, 70, 12);
    const W = withPasses(rows, latents, (p, diagonal) => {
      const [w, spare] = [zeroDense(arena, n, 3, 'a test'), zeroDense(arena, n, 3, 'a test')];
      landmarkStart(arena, one, p, diagonal, landmarks, w, spare);
      return readDense(arena, w, 3);
    });
    const G = gramOf(X, n);
    const expected = G.map(row => {
      const columns = [...landmarks].map(l => row[l]! / Math.sqrt(G[l]![l]!));
      return columns.map(g => g / Math.hypot(...columns));
    });
    expect(distance(W, expected)).toBeLessThan(1e-5);
  });

  it.each([undefined, 4])('losses fall, and %s entries of a row stay, whatever the threads', keep => {
    const rank = keep === undefined ? latents : 16;
    const run = (threads: Threads) =>
      withPasses(rows, rank, (p, diagonal) => {
        const [W, spare] = [zeroDense(arena, n, rank, 'a test'), zeroDense(arena, n, rank, 'a test')];
        if (keep === undefined) spectralStart(arena, threads, p, diagonal, { rank, seed: 3 }, W, spare);
        else
          landmarkStart(
            arena,
            threads,
            p,
            diagonal,
            Int32Array.from({ length: rank }, (_, l) => l),
            W,
            spare,
          );
        const objective =
          keep === undefined
            ? denseObjective(arena, threads, p, W)
            : sparseObjective(arena, threads, p, W, spare, keep);
        const options = { steps: 20, rate: keep === undefined ? 0.02 : 0.05 };
        const losses = train(arena, threads, p, W, objective, options);
        return { losses, A: readDense(arena, W, rank) };
      });
    const result = run(one);
    expect(run(three)).toEqual(result);
    const { losses } = result;
    expect(losses.slice(3).every((loss, t) => loss <= losses[t + 2]!)).toBe(true);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! - 0.003);
    expect(Math.abs(lossOf(X, result.A) / users - losses.at(-1)!)).toBeLessThan(1e-2);
    for (const row of result.A) {
      expect(Math.abs(Math.hypot(...row) - 1)).toBeLessThan(1e-6);
      expect(row.filter(a => a !== 0).length).toBeLessThanOrEqual(keep ?? rank);
    }
  });
});

it('keeps the largest entries of a row', () => {
  const mark = arena.mark();
  const W = placeDense(arena, [
    [3, -4, 1, 0],
    [0, 0, 0, 0],
    [0, 0, 2, 0],
  ]);
  const [indices, values] = [arena.bytes(24, 'a test'), arena.bytes(24, 'a test')];
  prune(arena, one, W, { rows: 3, indptr: 0, indices, values }, 2);
  expect([...arena.i32(indices, 6)]).toEqual([0, 1, 0, 0, 2, 0]);
  expect(distance([[...arena.f32(values, 6)]], [[0.6, -0.8, 0, 0, 1, 0]])).toBeLessThan(1e-6);
  arena.release(mark);
});
