/** A score is the sum of what the own items of a user add to it: against the scorer, with and without a serving matrix. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { explain } from '#src/model/explain.js';
import type { CsrMatrix } from '#src/model/model.js';
import { createScorer } from '#src/model/score.js';

/** A dense array of rows as a sparse matrix. */
function sparse(rows: readonly (readonly number[])[], columns: number): CsrMatrix {
  const [indptr, indices, data] = [[0], [] as number[], [] as number[]];
  for (const row of rows) {
    row.forEach((x, c) => {
      if (x === 0) return;
      indices.push(c);
      data.push(x);
    });
    indptr.push(indices.length);
  }
  return {
    rows: rows.length,
    columns,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    data: Float32Array.from(data),
  };
}

const entry = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -64, max: 64 }).map(x => x / 32),
);
const matrix = (rows: number, columns: number) =>
  fc
    .array(fc.array(entry, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows })
    .map(values => sparse(values, columns));

const setting = fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 5 })).chain(([n, r]) =>
  fc.record({
    n: fc.constant(n),
    encoder: matrix(n, r),
    decoder: matrix(r, n),
    serving: fc.option(matrix(n, n), { nil: undefined }),
    // One item more than the model knows.
    items: fc.subarray([...Array(n + 1).keys()]),
    weight: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  }),
);

it('sums to the score of every item, each own item once and the largest first', () => {
  fc.assert(
    fc.property(setting, ({ items: owned, weight, ...model }) => {
      const items = Int32Array.from(owned);
      const values = weight === undefined ? undefined : items.map(i => i + weight);
      const scores = createScorer(model).scores(items, values);
      for (let j = 0; j < model.n; j++) {
        const found = explain(model, items, values, j);
        const sum = found.reduce((a, { amount }) => a + amount, 0);
        expect(Math.abs(sum - scores[j]!)).toBeLessThan(1e-5);
        expect(found.every(({ item, amount }) => items.includes(item) && amount !== 0)).toBe(true);
        expect(new Set(found.map(f => f.item)).size).toBe(found.length);
        const sizes = found.map(f => Math.abs(f.amount));
        expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
      }
    }),
  );
});
