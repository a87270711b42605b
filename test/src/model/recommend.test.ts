/** Batch lists: the serving matrix, who may be recommended, and what users get who can be scored for too few items. */
import { describe, expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import type { Rows } from '#src/matrix/rows.js';
import type { Model } from '#src/model/model.js';
import type { RankedRows } from '#src/model/rank.js';
import { popularItems, recommendAll } from '#src/model/recommend.js';
import { createScorer } from '#src/model/score.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { build, multiply, weightsOf } from '../../support/dense.js';
import { randomRows } from '../../support/rows.js';

const rows = randomRows({ users: 200, items: 90, density: 0.05, seed: 3 });
const fitted = async (options: object): Promise<Model> =>
  (await fit({ mode: 'implicit', rows, scale: 1 }, fsaiOptions.parse(options), { threads: 1 })).model;
const list = ({ k, items, lengths }: RankedRows, r: number) => [
  ...items.subarray(r * k, r * k + lengths[r]!),
];
const own = (r: number) => [...rows.indices.subarray(rows.indptr[r]!, rows.indptr[r + 1]!)];

describe('the serving matrix', () => {
  it('keeps the largest positive entries of encoder · decoder', async () => {
    const model = await fitted({ neighbours: 6, serving: 4, signedServing: false });
    const { n } = model;
    const dense = weightsOf(model);
    const { indptr, indices, data } = model.serving!;
    for (let i = 0; i < n; i++) {
      const kept = [...indices.subarray(indptr[i]!, indptr[i + 1]!)];
      const all = [...Array(n).keys()].filter(j => j !== i && dense[i]![j]! > 1e-9);
      const best = all.sort((a, b) => dense[i]![b]! - dense[i]![a]!).slice(0, 4);
      expect(kept).toEqual([...best].sort((a, b) => a - b));
      kept.forEach((j, e) => {
        expect(data[indptr[i]! + e]).toBeCloseTo(dense[i]![j]!, 5);
      });
    }
  });

  it('ranks as both layers do when nothing is dropped but what counts against an item', async () => {
    const model = await fitted({ neighbours: 6, serving: 90, signedServing: false });
    const { serving } = model;
    const dense = weightsOf(model);
    const users = build(rows.users.length, model.n, (r, i) => (own(r).includes(i) ? 1 : 0));
    const scores = multiply(
      users,
      dense.map((row, i) => row.map((x, j) => (i === j ? 0 : Math.max(0, x)))),
    );
    const lists = await recommendAll(model, rows, 10, { threads: 2 });
    const plain = createScorer({ ...model, serving });
    for (let r = 0; r < rows.users.length; r++) {
      expect(list(lists, r)).toEqual([...plain.topK(Int32Array.from(own(r)), undefined, 10).items]);
      lists.scores.subarray(r * 10, r * 10 + lists.lengths[r]!).forEach((s, e) => {
        expect(s).toBeCloseTo(scores[r]![list(lists, r)[e]!]!, 5);
      });
    }
    const layered = await recommendAll(model, rows, 10, { layered: true });
    const withoutServing = await recommendAll({ ...model, serving: undefined }, rows, 10);
    expect(layered).toEqual(withoutServing);
  });
});

describe('lists of all users', () => {
  it('leave out own items and those that are not allowed', async () => {
    const model = await fitted({ neighbours: 6 });
    const allowed = Uint8Array.from({ length: model.n }, (_, i) => (i % 3 === 0 ? 0 : 1));
    const [free, filtered] = [
      await recommendAll(model, rows, 90),
      await recommendAll(model, rows, 90, { allowed }),
    ];
    for (let r = 0; r < rows.users.length; r++) {
      expect(list(free, r).filter(i => own(r).includes(i))).toEqual([]);
      expect(list(filtered, r)).toEqual(list(free, r).filter(i => i % 3 !== 0));
    }
  });

  it('are filled up with popular items, and say how many of them there are', async () => {
    const model = await fitted({ neighbours: 3, serving: 3 });
    const popular = popularItems(rows);
    const allowed = Uint8Array.from({ length: model.n }, (_, i) => (i === popular[0] ? 0 : 1));
    const k = 12;
    const [short, full] = [
      await recommendAll(model, rows, k, { allowed }),
      await recommendAll(model, rows, k, { allowed, popular }),
    ];
    expect(short.fallbacks.every(f => f === 0)).toBe(true);
    expect(short.lengths.some(length => length < k)).toBe(true);
    for (let r = 0; r < rows.users.length; r++) {
      const scored = list(short, r);
      const rest = [...popular].filter(i => i !== popular[0] && !own(r).includes(i) && !scored.includes(i));
      expect(list(full, r)).toEqual([...scored, ...rest.slice(0, k - scored.length)]);
      expect(full.fallbacks[r]).toBe(full.lengths[r]! - scored.length);
    }
  });

  it('of unknown users and of users of unknown items are popular items alone, or nothing', async () => {
    const model = await fitted({ neighbours: 6 });
    const strangers: Rows = {
      n: 200,
      users: Int32Array.of(0, 1),
      indptr: Int32Array.of(0, 0, 2),
      indices: Int32Array.of(150, 199),
      values: undefined,
    };
    const popular = popularItems(rows);
    const none = await recommendAll(model, strangers, 5);
    expect([...none.lengths]).toEqual([0, 0]);
    const some = await recommendAll(model, strangers, 5, { popular });
    expect([list(some, 0), list(some, 1)]).toEqual([[...popular.slice(0, 5)], [...popular.slice(0, 5)]]);
    expect([...some.fallbacks]).toEqual([5, 5]);
  });
});
