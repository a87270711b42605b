import { expect, test } from 'vitest';
import { icfOptions } from '#src/solvers/icf/options.js';
import { denseGramian, distance, fromLower, multiply } from '../support/dense.js';
import { factorize } from '../support/plain/factor.js';

// indefinite: eigenvalues 3 and −1
const G = [
  [1, 2],
  [2, 1],
];
const order = Int32Array.of(0, 1);
const ones = Float64Array.of(1, 1);

test('the shift is raised until the factorization succeeds, and every shift is reported', () => {
  const options = icfOptions.parse({ l2: 0.5, density: 1, shiftStep: 0.2 });
  const { lower, pivots, shifts } = factorize(denseGramian(G), order, ones, options);
  expect(shifts).toEqual([0.5, 0.7, 0.9, 0.5 + 0.2 * 4]);
  const L = fromLower(lower);
  const LD = L.map(row => row.map((l, k) => l * pivots[k]!));
  const A = [
    [2.3, 2],
    [2, 2.3],
  ];
  expect(
    distance(
      multiply(LD, [
        [L[0]![0]!, L[1]![0]!],
        [L[0]![1]!, L[1]![1]!],
      ]),
      A,
    ),
  ).toBeLessThan(1e-5);
});

test('after maxShifts raised shifts it gives up', () => {
  const options = icfOptions.parse({ l2: 0.5, density: 1, maxShifts: 3 });
  expect(() => factorize(denseGramian(G), order, ones, options)).toThrow(
    expect.objectContaining({ code: 'NOT_POSITIVE_DEFINITE', message: expect.stringContaining('0.504') }),
  );
});
