import { expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { implicitGramian } from '#src/gramian/implicit.js';
import type { Rows } from '#src/matrix/rows.js';
import { itemWeights } from '#src/model/item-weights.js';
import { createScorer } from '#src/model/score.js';
import { Arena } from '#src/runtime/arena.js';
import type { Threads } from '#src/runtime/threads.js';
import { fitOptions } from '#src/solvers/index.js';

const n = 60;

/** 200 users of 8 items, the first items more often. */
function skewedRows(): Rows {
  let state = 7;
  const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const rows = Array.from({ length: 200 }, () => {
    const items = new Set<number>();
    while (items.size < 8) items.add(Math.floor(n * random() ** 2));
    return [...items].sort((a, b) => a - b);
  });
  return {
    n,
    users: Int32Array.from(rows.keys()),
    indptr: Int32Array.from({ length: rows.length + 1 }, (_, r) => 8 * r),
    indices: Int32Array.from(rows.flat()),
    values: undefined,
  };
}

const rows = skewedRows();
const modelOf = async (given: object) =>
  (await fit({ mode: 'implicit', rows, scale: 1 }, fitOptions.parse(given))).model;

it('weighs G_ii^-p, 1 on the mean of interactions, whatever the unit of G', () => {
  const q = itemWeights(Float64Array.of(1, 16, 0, 81), 0.5);
  expect(q[0]! / q[1]!).toBeCloseTo(4, 12);
  expect(q[0]! / q[3]!).toBeCloseTo(9, 12);
  expect(q[2]).toBe(1);
  expect(q[0]! + 16 * q[1]! + 81 * q[3]!).toBeCloseTo(98, 10);
  const large = itemWeights(Float64Array.of(4096, 65536, 0, 331776), 0.5);
  for (let i = 0; i < 4; i++) expect(large[i]).toBeCloseTo(q[i]!, 12);
});

it.each([{ solver: 'fsai' }, { solver: 'icf', rescale: true }, { solver: 'exact' }])(
  'scales users by the items of their history, and similar items keep their order: $solver',
  async solver => {
    const gramian = implicitGramian(
      new Arena(),
      undefined as unknown as Threads,
      rows,
      fitOptions.parse(solver).userWeighting,
    );
    const q = itemWeights(gramian.diagonal(), 0.3);
    for (const serving of [0, 10]) {
      const plain = createScorer(await modelOf({ ...solver, serving, inputPower: 0 }));
      const weighted = createScorer(await modelOf({ ...solver, serving, inputPower: 0.3 }));
      for (let i = 0; i < n; i++) {
        const item = Int32Array.of(i);
        expect(weighted.topK(item, undefined, 10).items).toEqual(plain.topK(item, undefined, 10).items);
      }
      const items = Int32Array.of(0, 20, 50);
      const [found, expected] = [weighted.scores(items), plain.scores(items, [q[0]!, q[20]!, q[50]!])];
      for (let j = 0; j < n; j++) expect(found[j]).toBeCloseTo(expected[j]!, 5);
    }
  },
);

it('scales the scores of items by outputPower', async () => {
  const given = { solver: 'fsai', serving: 0, inputPower: 0 };
  const gramian = implicitGramian(new Arena(), undefined as unknown as Threads, rows, 0.5);
  const r = itemWeights(gramian.diagonal(), 0.2);
  const items = Int32Array.of(1, 30);
  const plain = createScorer(await modelOf(given)).scores(items);
  const found = createScorer(await modelOf({ ...given, outputPower: 0.2 })).scores(items);
  for (let j = 0; j < n; j++) expect(found[j]).toBeCloseTo(plain[j]! * r[j]!, 5);
});

it('serves entries of both signs by magnitude, or positive ones alone', async () => {
  const given = { solver: 'fsai', inputPower: 0, serving: 12 };
  const layers = createScorer(await modelOf({ ...given, serving: 0 }));
  const signed = (await modelOf({ ...given, signedServing: true })).serving!;
  const positive = (await modelOf({ ...given, signedServing: false })).serving!;
  expect(signed.data.some(x => x < 0)).toBe(true);
  expect(positive.data.every(x => x > 0)).toBe(true);
  for (let i = 0; i < n; i++) {
    const row = layers.scores(Int32Array.of(i)).map(Math.abs);
    row[i] = 0;
    const kept = signed.indices.subarray(signed.indptr[i], signed.indptr[i + 1]);
    const least = Math.min(...kept.map(j => row[j]! * 1e9)) / 1e9;
    expect(kept.length).toBe(Math.min(12, row.filter(x => x > 0).length));
    expect(row.filter(x => x > least * (1 + 1e-5)).length).toBeLessThan(12);
  }
});
