/** Stored columns, over one segment or several, are those of XᵀX and fit the same model as implicit ones. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { implicitGramian } from '#src/gramian/implicit.js';
import { fromNothing } from '#src/gramian/rows.js';
import { writeSegment } from '#src/gramian/segment.js';
import { assertExact, storedGramian } from '#src/gramian/stored.js';
import { updateColumns } from '#src/gramian/update.js';
import { fitOptions } from '#src/options.js';
import { buildSegment } from '#src/tasks.js';
import { distance, gramOf, weightsOf } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { toBlock } from '../../support/gramian.js';
import { permutation, randomX, rowsOf, seeded } from '../../support/random.js';

/** Segments of a history in `steps`: later ones are wider, as items appear, and change earlier rows. */
function history(
  directory: string,
  X: readonly number[][],
  n: number,
  steps: number,
  random: () => number,
): string[] {
  const widths = Array.from({ length: steps }, (_, s) => Math.ceil((n * (s + 1)) / steps));
  let before = X.map(row => row.map(() => 0));
  const paths: string[] = [];
  widths.forEach((width, s) => {
    const last = s === steps - 1;
    const after = X.map(row => row.map((x, i) => (i < width && (last || random() < 0.6) ? x : 0)));
    const cut = (M: readonly number[][]) =>
      rowsOf(
        M.map(row => row.slice(0, width)),
        width,
      );
    const segment = buildSegment(directory, 1, { before: cut(before), after: cut(after) });
    if (segment) paths.push(join(directory, segment.file));
    before = after;
  });
  return paths;
}

test('diagonal, norms and lower columns are exact over any number of segments', () => {
  const directory = temporaryDirectory();
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 4 }),
      (seed, m, n, steps) => {
        const random = seeded(seed);
        const X = randomX(random, m, n, random(), 5);
        const G = gramOf(X, n);
        const gramian = storedGramian(history(directory, X, n, steps, random), n, 1);
        try {
          expect([...gramian.diagonal()]).toEqual(G.map((row, j) => row[j]));
          expect([...gramian.squaredNorms()]).toEqual(G.map(row => row.reduce((s, g) => s + g * g, 0)));
          const order = permutation(random, n);
          const lower = gramian.lower(order);
          const [indices, values] = [new Int32Array(n), new Float64Array(n)];
          for (let k = 0; k < n; k++) {
            const column = new Map<number, number>();
            const count = lower.column(k, indices, values);
            for (let e = 0; e < count; e++) column.set(indices[e]!, values[e]!);
            for (let i = k + 1; i < n; i++) expect(column.get(i) ?? 0).toBe(G[order[i]!]![order[k]!]);
            expect([...column.keys()].every(i => i > k)).toBe(true);
          }
        } finally {
          gramian.close();
        }
      },
    ),
    { numRuns: 40 },
  );
});

test('stored and implicit columns give the same model', () => {
  const directory = temporaryDirectory();
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(1, 6),
      fc.constantFrom(0.1, 1),
      (seed, steps, max, density) => {
        const random = seeded(seed);
        const [m, n] = [40, 24];
        const X = randomX(random, m, n, 0.15, max);
        const options = fitOptions.parse({ density, l2: 1 });
        const stored = storedGramian(history(directory, X, n, steps, random), n, 1);
        try {
          const a = fit(stored, options).model;
          const b = fit(implicitGramian(rowsOf(X, n), 1), options).model;
          expect(distance(weightsOf(a), weightsOf(b))).toBeLessThan(1e-6);
        } finally {
          stored.close();
        }
      },
    ),
    { numRuns: 25 },
  );
});

it('without segments, G is zero', () => {
  const gramian = storedGramian([], 3, 1);
  expect([...gramian.diagonal()]).toEqual([0, 0, 0]);
  expect(gramian.lower(Int32Array.of(0, 1, 2)).column(0, new Int32Array(3), new Float64Array(3))).toBe(0);
});

it('values near 2³¹ are stored wide, sums from 2⁵³ on are refused with OVERFLOW', () => {
  const directory = temporaryDirectory();
  const heavy = (users: number, weight: number) =>
    rowsOf(
      Array.from({ length: users }, () => [weight, weight]),
      2,
    );
  const segment = buildSegment(directory, 1, fromNothing(heavy(3, 2 ** 20)))!;
  const gramian = storedGramian([join(directory, segment.file)], 2, 1);
  expect([...gramian.diagonal()]).toEqual([3 * 2 ** 40, 3 * 2 ** 40]);
  gramian.close();
  const overflow = expect.objectContaining({
    code: 'OVERFLOW',
    message: expect.stringMatching(/beyond 2\^53/),
  });
  expect(() => buildSegment(directory, 1, fromNothing(heavy(8193, 2 ** 20)))).toThrow(overflow);
  const [block] = updateColumns(fromNothing(heavy(8191, 2 ** 20)));
  expect(assertExact(block!).values[0]).toBe(8191 * 2 ** 40);
  // The parts fit, their sum does not.
  const part = () =>
    join(directory, writeSegment(directory, 1, 1, [toBlock([[2 ** 52]])], { wide: true }).file);
  const sum = storedGramian([part(), part(), part()], 1, 1);
  try {
    expect(() => sum.diagonal()).toThrow(overflow);
    expect(() => sum.squaredNorms()).toThrow(overflow);
  } finally {
    sum.close();
  }
});
