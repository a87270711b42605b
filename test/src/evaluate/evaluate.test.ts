import { expect, test } from 'vitest';
import { evaluate } from '#src/evaluate/evaluate.js';
import { matchHeldOut } from '#src/evaluate/held-out.js';
import type { Histories } from '#src/index.js';
import type { Rows } from '#src/matrix/rows.js';
import type { Model } from '#src/model/model.js';

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
  expect(metrics.hitRate).toBeCloseTo(2 / 3, 14);
  expect(metrics.mrr).toBeCloseTo((1 + 0 + 1 / 2) / 3, 14);
  // of four users, items 2, 3 are had by one each, 4, 5 by none: log₂ 4 bits all of them
  expect(metrics.novelty).toBe(2);
  expect(metrics.recallError).toBeCloseTo(0.5 / Math.sqrt(3), 14); // 1, 0, ½ deviate by ½
});

test('no test users give zeros', async () => {
  const metrics = await evaluate(chain(3), rows(3, { 0: [0] }), rows(3, {}), 2);
  expect(metrics).toMatchObject({ recall: 0, ndcg: 0, coverage: 0, users: 0 });
});

test('held-out pairs find the rows of their users, values included', async () => {
  async function* histories(): AsyncGenerator<Histories> {
    yield { keys: ['a', 'b'], rows: { ...rows(4, { 0: [0, 2], 1: [3] }), values: Int32Array.of(5, 7, 9) } };
    yield { keys: ['c', 'd'], rows: rows(4, { 2: [0], 3: [1, 3] }) };
  }
  const ids = new Map([
    ['x', 0],
    ['y', 1],
    ['z', 2],
  ]);
  const heldOut = [
    ['d', 'z'],
    ['a', 'y'],
    ['nobody', 'x'],
    ['a', 'new'],
    ['a', 'new'],
    ['d', 'x'],
    ['d', 'new'],
  ].map(([user, item]) => ({ user: user!, item: item! }));
  const { train, test, catalogue } = await matchHeldOut(heldOut, histories(), ids);
  expect(train).toEqual({
    n: 3,
    users: Int32Array.of(0, 1, 2),
    indptr: Int32Array.of(0, 2, 4, 4),
    indices: Int32Array.of(0, 2, 1, 3),
    values: Int32Array.of(5, 7, 1, 1),
  });
  expect(test).toEqual(rows(4, { 0: [1, 3], 1: [0, 2, 3], 2: [0] }));
  expect(catalogue).toEqual({ usersOf: Int32Array.of(2, 1, 1), users: 4 });
});
