import { expect, test } from 'vitest';
import { createTally, listMetrics, type Metrics, measures } from '#src/evaluate/metrics.js';

const none = { recall: 0, ndcg: 0, hitRate: 0, mrr: 0 };

test('recall divides by all test items, the ideal gain by the first k', () => {
  // hits at ranks 1 and 3 of k = 3; four relevant items
  const { recall, ndcg } = listMetrics(Int32Array.of(5, 6, 7, 8), new Set([5, 7, 8, 9]), 3);
  expect(recall).toBe(2 / 4);
  expect(ndcg).toBeCloseTo((1 + 1 / 2) / (1 + 1 / Math.log2(3) + 1 / 2), 14);
});

test('fewer relevant items than k: all of them in front is 1', () => {
  expect(listMetrics(Int32Array.of(4, 2, 9), new Set([2, 4]), 3)).toEqual({
    recall: 1,
    ndcg: 1,
    hitRate: 1,
    mrr: 1,
  });
  expect(listMetrics(new Int32Array(0), new Set([2]), 3)).toEqual(none);
  expect(listMetrics(Int32Array.of(1), new Set(), 3)).toEqual(none);
});

test('mrr is 1 over the rank of the first hit among the first k', () => {
  const relevant = new Set([3, 4]);
  expect(listMetrics(Int32Array.of(7, 8, 3, 4), relevant, 4)).toMatchObject({ hitRate: 1, mrr: 1 / 3 });
  expect(listMetrics(Int32Array.of(7, 8, 3, 4), relevant, 2)).toEqual(none);
});

test('novelty is the mean self-information of the items, over users with a list', () => {
  // 8 users; items had by 8, 2, 1 and none of them
  const tally = createTally(2, { usersOf: [8, 2, 1, 0], users: 8 });
  tally.add(Int32Array.of(0, 1), new Set([0])); // 0 and 2 bits
  tally.add(Int32Array.of(2, 3, 0), new Set([9])); // 3 bits each; the third is behind k
  tally.add(new Int32Array(0), new Set([1]));
  // 1 and 3 bits
  expect(tally.metrics()).toMatchObject({ novelty: 2, noveltyError: 1, users: 3, coverage: 1 });
});

/** A tally of `users` lists of two items of which the first `share` hit. */
function tallied(users: number, share: number, seed: number, draws = 400): Metrics {
  const tally = createTally(2, { usersOf: [1, 1, 1], users }, { draws, seed });
  for (let u = 0; u < users; u++) tally.add(Int32Array.of(0, 1), new Set([u < share * users ? 0 : 2]));
  return tally.metrics();
}

test('the bootstrap is decided by its seed, and its intervals are as wide as the standard error says', () => {
  const metrics = tallied(400, 0.3, 7);
  expect(tallied(400, 0.3, 7)).toEqual(metrics);
  expect(tallied(400, 0.3, 8).intervals).not.toEqual(metrics.intervals);
  const [low, high] = metrics.intervals!.recall;
  expect(low).toBeLessThan(metrics.recall);
  expect(high).toBeGreaterThan(metrics.recall);
  const width = (high - low) / (2 * 1.96 * metrics.recallError);
  expect(width).toBeGreaterThan(0.85);
  expect(width).toBeLessThan(1.15);
  expect(metrics.intervals!.ndcg).toEqual(metrics.intervals!.recall); // the same draws for all measures
});

test('all hits have an interval of no width; no users have none to draw', () => {
  const all = tallied(50, 1, 3).intervals!;
  for (const m of measures.filter(m => m !== 'novelty')) expect(all[m]).toEqual([1, 1]);
  expect(tallied(0, 1, 3)).toMatchObject({ users: 0, recall: 0, intervals: { recall: [0, 0] } });
});
