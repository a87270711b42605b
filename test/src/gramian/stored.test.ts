/** Stored columns, over one segment or several, are those of XᵀX and fit the same model as implicit ones. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { buildSegment } from '#src/gramian/build.js';
import { openSegment } from '#src/gramian/segment.js';
import { storedGramian } from '#src/gramian/stored.js';
import { readColumns, sumSegments } from '#src/gramian/sum.js';
import { fromNothing } from '#src/matrix/rows.js';
import type { Model } from '#src/model/model.js';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { icfOptions } from '#src/solvers/icf/options.js';
import { distance, gramOf, weightsOf } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { fromBlocks, writeCsc, writeDense } from '../../support/gramian.js';
import { permutation, randomX, rowsOf, seeded } from '../../support/random.js';
import { randomRows, rowsBetween } from '../../support/rows.js';

const oneThread = new Arena();
const stored = (paths: readonly string[], n: number) =>
  storedGramian(oneThread, new Threads(oneThread, 1), paths, n);

/** Segments of a history in `steps`: later ones are wider, as items appear, and change earlier rows. */
async function history(
  directory: string,
  X: readonly number[][],
  n: number,
  steps: number,
  random: () => number,
): Promise<string[]> {
  const widths = Array.from({ length: steps }, (_, s) => Math.ceil((n * (s + 1)) / steps));
  let before = X.map(row => row.map(() => 0));
  const paths: string[] = [];
  for (const [s, width] of widths.entries()) {
    const last = s === steps - 1;
    const after = X.map(row => row.map((x, i) => (i < width && (last || random() < 0.6) ? x : 0)));
    const cut = (M: readonly number[][]) =>
      rowsOf(
        M.map(row => row.slice(0, width)),
        width,
      );
    const segment = await buildSegment(directory, 1, { before: cut(before), after: cut(after) });
    if (segment) paths.push(join(directory, segment.file));
    before = after;
  }
  return paths;
}

test('sums, diagonal and norms are exact over any number of segments', async () => {
  const directory = temporaryDirectory();
  const size = [
    fc.integer(),
    fc.integer({ min: 1, max: 8 }),
    fc.integer({ min: 1, max: 10 }),
    fc.integer({ min: 1, max: 4 }),
  ] as const;
  await fc.assert(
    fc.asyncProperty(...size, async (seed, m, n, steps) => {
      const random = seeded(seed);
      const X = randomX(random, m, n, random(), 5);
      const G = gramOf(X, n);
      const paths = await history(directory, X, n, steps, random);
      const segments = paths.map(openSegment);
      if (segments.length > 0) expect(fromBlocks(sumSegments(new Arena(), segments, n), n)).toEqual(G);
      for (const s of segments) s.close();
      const gramian = stored(paths, n);
      expect([...gramian.diagonal()]).toEqual(G.map((row, j) => row[j]));
      const positions = Int32Array.from(permutation(random, n));
      const arranged = gramian.arrange(positions);
      const norms = G.map(row => row.reduce((s, g) => s + g * g, 0));
      positions.forEach((k, i) => {
        expect(arranged.squaredNorms()[k]).toBe(norms[i]);
        expect(arranged.diagonal[k]).toBe(G[i]![i]);
      });
      gramian.close();
    }),
    { numRuns: 40 },
  );
});

test('stored and implicit columns give the same model', async () => {
  const directory = temporaryDirectory();
  const cases = [
    fc.integer(),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom(1, 6),
    fc.constantFrom(0.1, 1),
  ] as const;
  await fc.assert(
    fc.asyncProperty(...cases, async (seed, steps, max, density) => {
      const random = seeded(seed);
      const [m, n] = [40, 24];
      const X = randomX(random, m, n, 0.15, max);
      const options = icfOptions.parse({ density, l2: 1 });
      const paths = await history(directory, X, n, steps, random);
      const a = await fit({ mode: 'stored', paths, n, scale: 1 }, options, { threads: 1 });
      const b = await fit({ mode: 'implicit', rows: rowsOf(X, n), scale: 1 }, options, { threads: 1 });
      expect(distance(weightsOf(a.model), weightsOf(b.model))).toBeLessThan(1e-6);
    }),
    { numRuns: 25 },
  );
});

test('long columns, of segments of both formats, give the very model of X', async () => {
  const directory = temporaryDirectory();
  const rows = randomRows({ users: 700, items: 2500, density: 0.08, seed: 5, most: 3 });
  const whole = [(await buildSegment(directory, 1, fromNothing(rows)))!.file];
  const parts: string[] = [];
  for (const [k, cut] of [
    rowsBetween(rows, 0, 400),
    rowsBetween(rows, 400, 600),
    rowsBetween(rows, 600, 700),
  ].entries()) {
    const { file } = (await buildSegment(directory, 1, fromNothing(cut)))!;
    const segment = openSegment(join(directory, file));
    const old = () => writeCsc(directory, [readColumns(segment, 0, rows.n)], rows.n).file;
    parts.push(k === 2 ? file : old());
    segment.close();
  }
  const bytes = ({ encoder, decoder }: Model) =>
    [encoder, decoder].flatMap(l => [l.indptr.join(), l.indices.join(), l.data.join()]);
  for (const options of [
    icfOptions.parse({ density: 0.01, l2: 5, serving: 0 }),
    fsaiOptions.parse({ neighbours: 12, serving: 0, userWeighting: 0 }),
  ]) {
    const fitted = await fit({ mode: 'implicit', rows, scale: 1 }, options, { threads: 1 });
    for (const files of [whole, parts]) {
      for (const [threads, memoryBytes] of [
        [1, 2 ** 32],
        [2, 2 ** 32],
        [2, 40 * 2 ** 20],
      ] as const) {
        const paths = files.map(file => join(directory, file));
        const input = { mode: 'stored', paths, n: rows.n, scale: 1 } as const;
        const { model } = await fit(input, options, { threads, memoryBytes });
        expect(bytes(model)).toEqual(bytes(fitted.model));
      }
    }
  }
});

it('without segments, G is zero', () => {
  const gramian = stored([], 3);
  expect([...gramian.diagonal()]).toEqual([0, 0, 0]);
});

it('values near 2³¹ are stored wide, sums from 2⁵³ on are refused with OVERFLOW', async () => {
  const directory = temporaryDirectory();
  const heavy = (users: number, weight: number) =>
    rowsOf(
      Array.from({ length: users }, () => [weight, weight]),
      2,
    );
  const segment = (await buildSegment(directory, 1, fromNothing(heavy(3, 2 ** 20))))!;
  const gramian = stored([join(directory, segment.file)], 2);
  expect([...gramian.diagonal()]).toEqual([3 * 2 ** 40, 3 * 2 ** 40]);
  gramian.close();
  const overflow = { code: 'OVERFLOW', message: expect.stringMatching(/less than 2\^53/) };
  await expect(buildSegment(directory, 1, fromNothing(heavy(8193, 2 ** 20)))).rejects.toMatchObject(overflow);
  expect(await buildSegment(directory, 1, fromNothing(heavy(8191, 2 ** 20)))).toMatchObject({ nnz: 4 });
  // The parts fit, their sum does not.
  const part = () => join(directory, writeDense(directory, [[2 ** 52]], { wide: true }).file);
  const sum = stored([part(), part(), part()], 1);
  expect(() => sum.diagonal()).toThrow(expect.objectContaining(overflow));
  sum.close();
});
