/** What serving loses against the layers: of single models, and of the defaults on dense, middle and sparse catalogues. */
import { describe, expect, it } from 'vitest';
import { evaluate } from '#src/evaluate/evaluate.js';
import { servingLoss } from '#src/evaluate/serving-loss.js';
import { divide, randomShare } from '#src/evaluate/split.js';
import { fit } from '#src/fit/fit.js';
import { densityOfRows } from '#src/gramian/density.js';
import type { Rows } from '#src/matrix/rows.js';
import type { CsrMatrix, Model } from '#src/model/model.js';
import { fitOptions } from '#src/solvers/index.js';
import { build, type Dense } from '../../support/dense.js';
import { seeded } from '../../support/random.js';

/** Users who take `most` items at most, by popularity and three times as often of their own taste. */
function catalogue(users: number, n: number, most: number): Rows {
  const next = seeded(11);
  const [indptr, indices] = [[0], [] as number[]];
  for (let u = 0; u < users; u++) {
    const taste = u % 10;
    const drawn = new Set<number>();
    for (let d = 5 + Math.floor(next() * most); drawn.size < d; ) {
      const i = Math.floor(n * next() ** 2);
      if (i % 10 === taste || next() < 0.15) drawn.add(i);
    }
    indices.push(...[...drawn].sort((a, b) => a - b));
    indptr.push(indices.length);
  }
  return {
    n,
    users: Int32Array.from({ length: users }, (_, u) => u),
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    values: undefined,
  };
}

// Everybody has 0 … 4; 4 is hidden from the first user, 3 from the second …
const rows: Rows = {
  n: 6,
  users: Int32Array.of(0, 1, 2),
  indptr: Int32Array.of(0, 5, 10, 15),
  indices: Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4),
  values: undefined,
};
function csr(A: Dense): CsrMatrix {
  const entries = A.map(row => row.flatMap((x, j) => (x === 0 ? [] : [[j, x] as const])));
  const indptr = [0];
  for (const row of entries) indptr.push(indptr.at(-1)! + row.length);
  return {
    rows: A.length,
    columns: A.length,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(entries.flat(), ([j]) => j),
    data: Float32Array.from(entries.flat(), ([, x]) => x),
  };
}
const identity = csr(build(6, 6, (i, j) => (i === j ? 1 : 0)));
/** Item 5, which nobody has, scores `other` and the others 2. */
const scoring = (other: number) => csr(build(6, 6, (i, j) => (i === j ? 0 : j === 5 ? other : 2)));
const layers = scoring(1);
const model = (serving: CsrMatrix | undefined): Model => ({
  n: 6,
  encoder: identity,
  decoder: layers,
  serving,
});

describe('the loss of serving', () => {
  it('is 0 for the product of the layers itself, and unknown without a matrix', () => {
    expect(servingLoss(model(layers), rows)).toBe(0);
    expect(servingLoss(model(undefined), rows)).toBeUndefined();
  });

  it('is what the hidden item loses by its rank', () => {
    // The item that nobody has comes before the hidden one: 1 / log₂ 3 of the NDCG stays.
    expect(servingLoss(model(scoring(13)), rows)).toBeCloseTo(1 - 1 / Math.log2(3), 12);
    const unknown = csr(build(6, 6, (_, j) => (j === 5 ? 1 : 0)));
    expect(servingLoss(model(unknown), rows)).toBe(1);
  });
});

it.each([
  ['dense', 3000, 300, 60, [0.9, 1]],
  ['middle', 600, 400, 30, [0.2, 0.6]],
  ['sparse', 3000, 3000, 12, [0, 0.045]],
] as const)(
  'of a %s catalogue serving loses at most a hundredth to the layers',
  async (_, users, n, most, [low, high]) => {
    const interactions = catalogue(users, n, most);
    const { train, test } = divide(interactions, randomShare(interactions, 0.2, 1));
    const density = densityOfRows(train);
    expect(density).toBeGreaterThanOrEqual(low);
    expect(density).toBeLessThanOrEqual(high);
    const input = { mode: 'implicit', rows: train, scale: 1 } as const;
    for (const [solver, least] of Object.entries({ fsai: 0.02, exact: 0.02, icf: 0.01 })) {
      const { model } = await fit(input, fitOptions.parse({ solver }), { threads: 1 });
      const [layered, served] = [
        await evaluate(model, train, test, 20, { threads: 1, layered: true }),
        await evaluate(model, train, test, 20, { threads: 1 }),
      ];
      expect(layered.ndcg, solver).toBeGreaterThan(least);
      expect(served.ndcg / layered.ndcg, solver).toBeGreaterThanOrEqual(0.99);
    }
  },
);
