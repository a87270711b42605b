/** Buckets of popularity, and the index of their shift against its formula and against chance. */
import { expect, it } from 'vitest';
import { interactionsIn, popularityBuckets, stabilityIndex } from '#src/evaluate/popularity.js';
import { seeded } from '../../support/random.js';

it('puts about a tenth of all interactions into each bucket, the most popular items first', () => {
  const users = Int32Array.from({ length: 5000 }, (_, i) => 1 + Math.floor(50_000 / (i + 100)));
  const bucketOf = popularityBuckets(users);
  const sums = interactionsIn(bucketOf, users);
  const total = users.reduce((a, b) => a + b, 0);
  expect(sums.reduce((a, b) => a + b, 0)).toBe(total);
  for (const sum of sums) expect(Math.abs(sum / total - 0.1)).toBeLessThan(0.02);
  for (let i = 1; i < users.length; i++) expect(bucketOf[i]).toBeGreaterThanOrEqual(bucketOf[i - 1]!);
});

it('counts no item twice where few items, equal ones or none are there', () => {
  expect([...popularityBuckets(Int32Array.of())]).toEqual([]);
  expect([...popularityBuckets(Int32Array.of(0, 0))]).toEqual([0, 0]);
  expect([...popularityBuckets(Int32Array.of(3, 3, 3))]).toEqual([0, 0, 0]);
  expect([...popularityBuckets(Int32Array.of(1, 90, 0, 9))]).toEqual([9, 0, 9, 9]);
  expect(interactionsIn(Uint8Array.of(9, 0), Int32Array.of(1, 90, 500))).toEqual([
    90, 0, 0, 0, 0, 0, 0, 0, 0, 1,
  ]);
});

it('is the sum of (q − p) ln(q / p)', () => {
  const none = new Array<number>(8).fill(0);
  const expected = (0.25 - 0.5) * Math.log(0.25 / 0.5) + (0.75 - 0.5) * Math.log(0.75 / 0.5);
  expect(stabilityIndex([1e6, 1e6, ...none], [5e5, 15e5, ...none])).toBeCloseTo(expected, 4);
});

it('is 0 for samples of one distribution, small and large, and not for a shifted one', () => {
  const next = seeded(5);
  const shares = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
  const shifted = [0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.12, 0.14, 0.16, 0.18];
  const sample = (of: readonly number[], size: number) => {
    const counts = new Array<number>(10).fill(0);
    for (let k = 0; k < size; k++) {
      let [x, b] = [next(), 0];
      while (b < 9 && x >= of[b]!) x -= of[b++]!;
      counts[b]!++;
    }
    return counts;
  };
  const before = sample(shares, 20_000);
  let alarms = 0;
  for (let k = 0; k < 400; k++)
    if (stabilityIndex(before, sample(shares, [10, 200, 5000][k % 3]!)) > 0) alarms++;
  expect(alarms).toBeLessThanOrEqual(3);
  for (let k = 0; k < 50; k++) expect(stabilityIndex(before, sample(shifted, 2000))).toBeGreaterThan(0.25);
});
