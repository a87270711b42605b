/**
 * Incomplete Cholesky: with room for everything it is Cholesky; with less it keeps what the rule says; a
 * breakdown is a value; and the arrival order of a column's entries does not show.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build, cholesky, type Dense, denseGramian, distance, fromLower, gramOf } from '../support/dense.js';
import { type IcfResult, icf } from '../support/plain/icf.js';
import type { Lower } from '../support/plain/lower.js';
import { randomX, seeded } from '../support/random.js';

const size = fc.integer({ min: 1, max: 24 });

/** ICF of T G T + shift·I in the given order of positions, t_j = 1 / (1 + j mod 3). */
function factorOf(G: Dense, shift: number, budget: number, shuffle?: () => number): IcfResult {
  const n = G.length;
  const t = Float64Array.from({ length: n }, (_, j) => 1 / (1 + (j % 3)));
  const diagonal = Float64Array.from(G, (row, j) => row[j]! * t[j]! ** 2 + shift);
  const order = Int32Array.from({ length: n }, (_, j) => j);
  return icf(denseGramian(G, 1, shuffle).lower(order), diagonal, t, budget);
}

function scaled(G: Dense, shift: number): Dense {
  const t = (j: number) => 1 / (1 + (j % 3));
  return build(G.length, G.length, (i, j) => G[i]![j]! * t(i) * t(j) + (i === j ? shift : 0));
}

function ok(result: IcfResult): Lower {
  if (!result.ok) throw new Error(`pivot ${result.pivot} in column ${result.column}`);
  return result.factor;
}

test('at full density it is the Cholesky factor', () => {
  fc.assert(
    fc.property(fc.integer(), size, (seed, n) => {
      const G = gramOf(randomX(seeded(seed), 2 * n, n, 0.3, 2), n);
      const L = cholesky(scaled(G, 0.5));
      expect(distance(fromLower(ok(factorOf(G, 0.5, n * n))), L)).toBeLessThan(1e-5);
    }),
    { numRuns: 200 },
  );
});

test('within any budget every column has its diagonal first and ascending rows behind it', () => {
  fc.assert(
    fc.property(fc.integer(), size, fc.double({ min: 0, max: 1, noNaN: true }), (seed, n, share) => {
      const G = gramOf(randomX(seeded(seed), 2 * n, n, 0.4), n);
      const budget = n + Math.floor(share * (n * n - n));
      const { indptr, indices, data } = ok(factorOf(G, 1000, budget));
      expect(indptr[n]).toBe(indices.length);
      expect(indices.length).toBe(data.length);
      expect(indices.length).toBeLessThanOrEqual(budget);
      for (let j = 0; j < n; j++) {
        expect(indices[indptr[j]!]).toBe(j);
        expect(data[indptr[j]!]).toBeGreaterThan(0);
        for (let e = indptr[j]! + 1; e < indptr[j + 1]!; e++)
          expect(indices[e]).toBeGreaterThan(indices[e - 1]!);
      }
    }),
  );
});

test('the largest entries stay, ties go to the smaller row, dropped ones lower the diagonal', () => {
  //     ⎡ 4         ⎤   column 0 may keep ⌊8/4⌋ = 2 of its three entries with a budget of 8,
  // A = ⎢ 1 4       ⎥   1 with 5, and none with 4, which the diagonal needs
  //     ⎢ 2 0 4     ⎥
  //     ⎣−2 0 0 4   ⎦
  const G = [
    [4, 1, 2, -2],
    [1, 4, 0, 0],
    [2, 0, 4, 0],
    [-2, 0, 0, 4],
  ];
  const order = Int32Array.of(0, 1, 2, 3);
  const ones = new Float64Array(4).fill(1);
  const run = (budget: number) =>
    fromLower(ok(icf(denseGramian(G).lower(order), Float64Array.of(4, 4, 4, 4), ones, budget)));
  expect(run(8).map(row => row[0])).toEqual([2, 0, 1, -1]);
  expect(run(8)[1]![1]).toBeCloseTo(Math.sqrt(4 - 0.25), 6); // L_10 = 1/2 was dropped
  expect(run(5).map(row => row[0])).toEqual([2, 0, 1, 0]);
  expect(run(4).map(row => row[0])).toEqual([2, 0, 0, 0]);
});

test('the order in which entries arrive does not show', () => {
  fc.assert(
    fc.property(fc.integer(), size, (seed, n) => {
      const random = seeded(seed);
      const G = gramOf(randomX(random, n, n, 0.5), n); // small integers: many ties
      const budget = n + Math.floor((random() * (n * n - n)) / 2);
      expect(factorOf(G, 1000, budget, random)).toEqual(factorOf(G, 1000, budget));
    }),
  );
});

test('a breakdown names the column and the pivot', () => {
  const G = [
    [1, 2],
    [2, 1],
  ];
  const ones = Float64Array.of(1, 1);
  const result = icf(denseGramian(G).lower(Int32Array.of(0, 1)), ones, ones, 4);
  expect(result).toEqual({ ok: false, column: 1, pivot: -3 });
});

test('empty columns are diagonal only', () => {
  const L = ok(
    factorOf(
      build(3, 3, () => 0),
      4,
      9,
    ),
  );
  expect([...L.indices]).toEqual([0, 1, 2]);
  expect([...L.data]).toEqual([2, 2, 2]);
});
