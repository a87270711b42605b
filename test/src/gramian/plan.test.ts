/** The plan prefers the cheaper Gramian, and does not go back and forth between the two. */
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { expectedEntries, planGramian, storable } from '#src/gramian/plan.js';

it('expects no more entries than cells or pairs', () => {
  expect(expectedEntries(0, 0)).toBe(0);
  expect(expectedEntries(1000, 1000)).toBeCloseTo(1000, 0);
  expect(expectedEntries(10, 1e9)).toBe(100);
});

it('stores dense Gramians and computes sparse ones', () => {
  expect(planGramian({ items: 100, pairs: 1e6 }, undefined)).toBe('stored');
  expect(planGramian({ items: 1e6, pairs: 1e6 }, undefined)).toBe('implicit');
  expect(planGramian({ items: 0, pairs: 0 }, undefined)).toBe('implicit');
});

it('stores no Gramian of one vast history, nor of two, and any small one', () => {
  expect(storable({ items: 200_000, pairs: 4e10 }, 205_000)).toBe(false);
  expect(storable({ items: 200_000, pairs: 8e10 }, 400_000)).toBe(false);
  expect(storable({ items: 20_000, pairs: 9e9 }, 3_000_000)).toBe(true);
  expect(storable({ items: 200_000, pairs: 4e10, entries: 1e9 }, 205_000)).toBe(true);
  expect(storable({ items: 100_000, pairs: 1e10 }, 100_000_000)).toBe(true);
});

it('takes what the segments hold for the entries', () => {
  const sizes = { items: 1e5, pairs: 277e6 };
  expect(planGramian({ ...sizes, entries: 237e6 }, 'stored')).toBe('implicit');
  expect(planGramian({ ...sizes, entries: 40e6 }, 'stored')).toBe('stored');
});

test('keeps the mode for a change of the work by less than a factor 2, and once changed it stays', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e5 }),
      fc.double({ min: 0, max: 1e10, noNaN: true }),
      fc.constantFrom('stored', 'implicit', undefined),
      (n, pairs, current) => {
        const next = planGramian({ items: n, pairs }, current as 'stored' | undefined);
        expect(planGramian({ items: n, pairs }, next)).toBe(next);
        // Growth only ever moves towards stored.
        if (next === 'stored') expect(planGramian({ items: n, pairs: 2 * pairs }, next)).toBe('stored');
      },
    ),
  );
  const n = 1000;
  let pairs = 1;
  while (planGramian({ items: n, pairs }, 'implicit') === 'implicit') pairs *= 1.01;
  const up = pairs;
  while (planGramian({ items: n, pairs }, 'stored') === 'stored') pairs /= 1.01;
  expect(up / pairs).toBeGreaterThan(1.9);
});
