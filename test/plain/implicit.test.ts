import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build, type Dense, gramOf } from '../support/dense.js';
import type { Gramian } from '../support/plain/columns.js';
import { implicitGramian } from '../support/plain/implicit.js';
import { itemColumns } from '../support/plain/item-columns.js';
import { permutation, randomX, rowsOf, seeded } from '../support/random.js';

/** G again from its diagonal and its permuted lower triangle. */
function assemble(gramian: Gramian, order: Int32Array): Dense {
  const { n } = gramian;
  const diagonal = gramian.diagonal();
  const G = build(n, n, (i, j) => (i === j ? diagonal[i]! : 0));
  const lower = gramian.lower(order);
  const indices = new Int32Array(n);
  const values = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const count = lower.column(k, indices, values);
    for (let e = 0; e < count; e++) {
      expect(indices[e]).toBeGreaterThan(k);
      const [i, j] = [order[indices[e]!]!, order[k]!];
      expect(G[i]![j]).toBe(0); // every entry once
      G[i]![j] = G[j]![i] = values[e]!;
    }
  }
  return G;
}

test('diagonal, lower triangle and norms are those of XᵀX, exactly, in any order', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(1, 3, 46_000),
      (seed, m, n, max) => {
        const random = seeded(seed);
        const X = randomX(random, m, n, random(), max);
        const G = gramOf(X, n);
        const gramian = implicitGramian(rowsOf(X, n), 1);
        expect(assemble(gramian, permutation(random, n))).toEqual(G);
        const norms = G.map(row => row.reduce((s, g) => s + g * g, 0));
        // beyond 2⁵³ the order of the sum shows
        const found = gramian.squaredNorms();
        norms.forEach((norm, j) => {
          expect(found[j]! / (norm || 1)).toBeCloseTo(norm && 1, 14);
        });
      },
    ),
  );
});

test('a column can be read again', () => {
  const gramian = implicitGramian(rowsOf(randomX(seeded(1), 9, 6, 0.5), 6), 1);
  const lower = gramian.lower(Int32Array.of(0, 1, 2, 3, 4, 5));
  const read = () => {
    const indices = new Int32Array(6);
    const values = new Float64Array(6);
    return [lower.column(2, indices, values), indices, values];
  };
  expect(read()).toEqual(read());
});

test('sums from 2⁵³ on are refused', () => {
  const most = 2 ** 31 - 1;
  const rows = rowsOf(
    build(3, 2, () => most),
    2,
  ); // 3 (2³¹ − 1)² > 2⁵³
  const gramian = implicitGramian(rows, 1);
  const overflow = expect.objectContaining({ code: 'OVERFLOW' });
  expect(() => gramian.diagonal()).toThrow(overflow);
  const lower = gramian.lower(Int32Array.of(0, 1));
  expect(() => lower.column(0, new Int32Array(2), new Float64Array(2))).toThrow(overflow);
});

test('item columns hold the rows of each item in order, with values', () => {
  const X = [
    [0, 2, 0],
    [5, 7, 0],
  ];
  const { indptr, rows, values } = itemColumns(rowsOf(X, 3));
  expect([...indptr]).toEqual([0, 1, 3, 3]);
  expect([...rows]).toEqual([1, 0, 1]);
  expect([...values!]).toEqual([5, 2, 7]);
});
