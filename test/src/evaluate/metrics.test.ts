import { expect, test } from 'vitest';
import { evaluate, listMetrics } from '#src/evaluate/metrics.js';
import type { Rows } from '#src/gramian/rows.js';
import type { Model } from '#src/model/model.js';

test('recall divides by all test items, the ideal gain by the first k', async () => {
  // hits at ranks 1 and 3 of k = 3; four relevant items
  const { recall, ndcg } = listMetrics(Int32Array.of(5, 6, 7, 8), new Set([5, 7, 8, 9]), 3);
  expect(recall).toBe(2 / 4);
  expect(ndcg).toBeCloseTo((1 + 1 / 2) / (1 + 1 / Math.log2(3) + 1 / 2), 14);
});

test('fewer relevant items than k: all of them in front is 1', async () => {
  expect(listMetrics(Int32Array.of(4, 2, 9), new Set([2, 4]), 3)).toEqual({ recall: 1, ndcg: 1 });
  expect(listMetrics(new Int32Array(0), new Set([2]), 3)).toEqual({ recall: 0, ndcg: 0 });
  expect(listMetrics(Int32Array.of(1), new Set(), 3)).toEqual({ recall: 0, ndcg: 0 });
});

/** Recommends item i + 1, then i + 2 … to the owner of i alone; scores fall with the distance. */
function chain(n: number): Model {
  const identity = {
    rows: n,
    columns: n,
    indptr: Int32Array.from({ length: n + 1 }, (_, i) => i),
    indices: Int32Array.from({ length: n }, (_, i) => i),
    data: new Float32Array(n).fill(1),
  };
  const indptr = [0];
  const indices: number[] = [];
  const data: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      indices.push(j);
      data.push(1 / (j - i));
    }
    indptr.push(indices.length);
  }
  const decoder = {
    rows: n,
    columns: n,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    data: Float32Array.from(data),
  };
  return { n, encoder: identity, decoder };
}

function rows(n: number, lists: Record<number, number[]>): Rows {
  const users = Object.keys(lists).map(Number);
  const indptr = [0];
  for (const u of users) indptr.push(indptr.at(-1)! + lists[u]!.length);
  return {
    n,
    users: Int32Array.from(users),
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(users.flatMap(u => lists[u]!)),
    values: undefined,
  };
}

test('all users with test items count, matched by id; train items are masked', async () => {
  const train = rows(6, { 1: [0, 1], 4: [3], 5: [0], 9: [2] });
  // 1 gets 2, 3 (hit, miss); 3 has no train row; 4 gets 4, 5 (miss, hit); 9 has no test items
  const test = rows(6, { 1: [2], 3: [0], 4: [5, 0], 9: [] });
  const metrics = await evaluate(chain(6), train, test, 2);
  const gain = 1 / Math.log2(3) / (1 + 1 / Math.log2(3));
  expect(metrics.users).toBe(3);
  expect(metrics.recall).toBeCloseTo((1 + 0 + 0.5) / 3, 14);
  expect(metrics.ndcg).toBeCloseTo((1 + 0 + gain) / 3, 14);
  expect(metrics.coverage).toBeCloseTo(4 / 6, 14); // 2, 3, 4, 5
  expect(metrics.recallError).toBeCloseTo(0.5 / Math.sqrt(3), 14); // 1, 0, ½ deviate by ½
});

test('no test users give zeros', async () => {
  const metrics = await evaluate(chain(3), rows(3, { 0: [0] }), rows(3, {}), 2);
  expect(metrics).toEqual({ recall: 0, ndcg: 0, coverage: 0, users: 0, recallError: 0, ndcgError: 0 });
});
