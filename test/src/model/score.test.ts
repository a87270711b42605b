import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CsrMatrix, Model } from '#src/model/model.js';
import { createScorer, recommend, similar } from '#src/model/score.js';
import { type Dense, fromCsr, multiply } from '../../support/dense.js';
import { rowsOf, seeded } from '../../support/random.js';

/** Small integers, exact in float32: full of ties. */
function matrix(n: number, value: (i: number, j: number) => number): CsrMatrix {
  const X = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => value(i, j)));
  const { indptr, indices, values } = rowsOf(X, n);
  const data = values ? Float32Array.from(values) : new Float32Array(indices.length).fill(1);
  return { rows: n, columns: n, indptr, indices, data };
}

function randomModel(seed: number, n: number): Model {
  const random = seeded(seed);
  const entry = () => (random() < 0.3 ? Math.floor(random() * 5) - 2 : 0);
  return { n, encoder: matrix(n, entry), decoder: matrix(n, entry) };
}

/** Items reached by a path of stored weights. */
function reached({ encoder, decoder }: Model, items: readonly number[]): Set<number> {
  const row = ({ indptr, indices }: CsrMatrix, i: number) => indices.subarray(indptr[i]!, indptr[i + 1]!);
  return new Set(items.flatMap(i => [...row(encoder, i)].flatMap(k => [...row(decoder, k)])));
}

function oracle(
  model: Model,
  items: number[],
  values: number[],
  k: number,
  exclude: boolean,
): [number, number][] {
  const u: Dense = [Array.from({ length: model.n }, (_, i) => values[items.indexOf(i)] ?? 0)];
  const scores = multiply(multiply(u, fromCsr(model.encoder)), fromCsr(model.decoder))[0]!;
  return [...reached(model, items)]
    .filter(i => !(exclude && items.includes(i)))
    .map((i): [number, number] => [i, scores[i]! + 0])
    .sort(([i, a], [j, b]) => b - a || i - j)
    .slice(0, k);
}

test('the k best reached items, ties by item, own items left out unless asked for', () => {
  const size = fc.integer({ min: 1, max: 14 });
  fc.assert(
    fc.property(fc.integer(), size, fc.nat({ max: 16 }), fc.boolean(), (seed, n, k, exclude) => {
      const model = randomModel(seed, n);
      const random = seeded(seed + 1);
      const scorer = createScorer(model);
      // one scorer serves many users: nothing of the one before may be left
      for (let user = 0; user < 3; user++) {
        const items = Array.from({ length: n }, (_, i) => i).filter(() => random() < 0.4);
        const values = items.map(() => 1 + Math.floor(random() * 3));
        const list = scorer.topK(Int32Array.from(items), values, k, { exclude });
        const found = [...list.items].map((item, r): [number, number] => [item, list.scores[r]! + 0]);
        expect(found).toEqual(oracle(model, items, values, k, exclude));
      }
    }),
    { numRuns: 300 },
  );
});

test('scores are those of the two layers, own items included, for all items', () => {
  const model = randomModel(4, 9);
  const u = [0, 2, 0, 0, 1, 0, 0, 0, 0];
  const expected = multiply(multiply([u], fromCsr(model.encoder)), fromCsr(model.decoder))[0]!;
  const scorer = createScorer(model);
  for (let k = 0; k < 2; k++) {
    expect([...scorer.scores(Int32Array.of(1, 4), [2, 1])].map(v => v + 0)).toEqual(expected.map(v => v + 0));
  }
});

test('nothing is recommended to nobody, and unknown items are passed over', () => {
  const model = randomModel(7, 8);
  expect(recommend(model, new Int32Array(0), 5)).toEqual({
    items: new Int32Array(0),
    scores: new Float32Array(0),
  });
  expect(recommend(model, Int32Array.of(2, 8, 900), 5)).toEqual(recommend(model, Int32Array.of(2), 5));
});

test('similar items are what the item alone recommends', () => {
  const model = randomModel(8, 10);
  expect(similar(model, 3, 4)).toEqual(recommend(model, Int32Array.of(3), 4));
  expect(similar(model, 3, 4).items).not.toContain(3);
});
