import { expect, it } from 'vitest';
import { createComparison } from '#src/evaluate/compare-lists.js';

it('tells how lists differ', () => {
  const comparison = createComparison(3, [10, 5]);
  comparison.add(Int32Array.of(1, 2, 3), Int32Array.of(1, 2, 3));
  comparison.add(Int32Array.of(1, 2, 3), Int32Array.of(3, 2, 1));
  comparison.add(Int32Array.of(1, 2), Int32Array.of(3, 4));
  const { changed, overlap, rankCorrelation, coverage, users } = comparison.result();
  expect(users).toBe(3);
  expect(changed).toBeCloseTo(2 / 3, 12);
  expect(overlap).toBeCloseTo(2 / 3, 12);
  // places 1 2 4 4 against 4 4 1 2: −0.9 · … by hand: Σxy/√(Σxx Σyy) = −5.625/6.75
  expect(rankCorrelation).toBeCloseTo((1 - 1 - 6.25 / 6.75) / 3, 1);
  expect(coverage).toEqual([0.3, 0.8]);
});
