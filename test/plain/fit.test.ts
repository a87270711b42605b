/** The whole fit against EASE: with room for everything and enough scans, the two layers multiply to its weights. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { icfOptions } from '#src/solvers/icf/options.js';
import {
  build,
  type Dense,
  denseGramian,
  distance,
  easeWeights,
  gramOf,
  weightsOf,
} from '../support/dense.js';
import { fit as fitModel } from '../support/plain/fit.js';
import { implicitGramian } from '../support/plain/implicit.js';
import { randomX, rowsOf, seeded } from '../support/random.js';

const exact = { density: 1, scans: 500, tolerance: 1e-15 };

/** S G S + l2·I with s_j = ‖G_j‖^(−1/2). */
function scaledGram(G: Dense, l2: number): { A: Dense; s: number[] } {
  const s = G.map(row => Math.hypot(...row)).map(norm => (norm > 0 ? norm ** -0.5 : 1));
  return { A: build(G.length, G.length, (i, j) => s[i]! * G[i]![j]! * s[j]! + (i === j ? l2 : 0)), s };
}

describe('at full density the weights are those of EASE', () => {
  const cases = fc.tuple(fc.integer(), fc.integer({ min: 1, max: 20 }), fc.constantFrom(1, 3));

  function each(check: (G: Dense, seed: number) => void): void {
    fc.assert(
      fc.property(cases, ([seed, n, max]) =>
        check(gramOf(randomX(seeded(seed), 2 * n, n, 0.25, max), n), seed),
      ),
      { numRuns: 60 },
    );
  }

  test('of S G S + λI', () => {
    each(G => {
      const { model } = fitModel(denseGramian(G), icfOptions.parse({ ...exact, l2: 0.5 }));
      expect(distance(weightsOf(model), easeWeights(scaledGram(G, 0.5).A))).toBeLessThan(1e-4);
    });
  });

  test('of G + λI without scaling', () => {
    each(G => {
      const n = G.length;
      const { model } = fitModel(denseGramian(G), icfOptions.parse({ ...exact, l2: 5, scale: false }));
      const A = build(n, n, (i, j) => G[i]![j]! + (i === j ? 5 : 0));
      expect(distance(weightsOf(model), easeWeights(A))).toBeLessThan(1e-4);
    });
  });

  test('of G + λS⁻² when they are scaled back', () => {
    each(G => {
      const n = G.length;
      const { model } = fitModel(denseGramian(G), icfOptions.parse({ ...exact, l2: 0.5, rescale: true }));
      const { s } = scaledGram(G, 0.5);
      const A = build(n, n, (i, j) => G[i]![j]! + (i === j ? 0.5 / s[i]! ** 2 : 0));
      expect(distance(weightsOf(model), easeWeights(A))).toBeLessThan(1e-4);
    });
  });

  test('of the real Gramian, whatever the fixed-point scale', () => {
    each(G => {
      const options = icfOptions.parse({ ...exact, l2: 5, scale: false });
      const stored = G.map(row => row.map(g => g * 100));
      const weights = weightsOf(fitModel(denseGramian(stored, 10), options).model);
      expect(distance(weights, weightsOf(fitModel(denseGramian(G), options).model))).toBeLessThan(1e-5);
    });
  });
});

test('indices ascend within the rows of both layers, within the density', () => {
  const G = gramOf(randomX(seeded(9), 60, 40, 0.2), 40);
  const { model, report } = fitModel(
    denseGramian(G),
    icfOptions.parse({ density: 0.1, l2: 1, tolerance: 0, scans: 2 }),
  );
  expect(report.losses.length).toBeGreaterThan(1);
  for (const { indptr, indices } of [model.encoder, model.decoder]) {
    expect(indices.length).toBeLessThanOrEqual(160);
    for (let i = 0; i < 40; i++) {
      const row = [...indices.subarray(indptr[i], indptr[i + 1])];
      expect(row).toEqual(row.toSorted((a, b) => a - b));
    }
  }
});

test('the model does not depend on the order in which entries of a column arrive', () => {
  const G = gramOf(randomX(seeded(5), 60, 40, 0.2), 40);
  const options = icfOptions.parse({ density: 0.1, l2: 1, tolerance: 0 });
  expect(fitModel(denseGramian(G, 1, seeded(6)), options).model).toEqual(
    fitModel(denseGramian(G), options).model,
  );
});

test.each([
  ['one item, one user', [[1]]],
  ['no interactions', [[0, 0, 0]]],
  [
    'duplicate columns and an empty one',
    [
      [1, 1, 0, 1],
      [1, 1, 0, 0],
      [0, 0, 0, 1],
    ],
  ],
])('%s', (_, X) => {
  const n = X[0]!.length;
  const G = gramOf(X, n);
  const { model, report } = fitModel(implicitGramian(rowsOf(X, n), 1), icfOptions.parse({ ...exact, l2: 2 }));
  expect(distance(weightsOf(model), easeWeights(scaledGram(G, 2).A))).toBeLessThan(1e-5);
  expect(report.usedItems).toBe(G.filter((row, j) => row[j]! > 0).length);
});

test('a catalogue without items gives an empty model', () => {
  const { model, report } = fitModel(denseGramian([]), icfOptions.parse({}));
  expect(model.n).toBe(0);
  expect(report.parameters).toBe(0);
});

test('items without interactions cost nothing', () => {
  const n = 30_000;
  const rows = {
    ...rowsOf(
      build(40, 30, (u, i) => ((u * i) % 7 < 2 ? 1 : 0)),
      30,
    ),
    n,
  };
  const { report } = fitModel(implicitGramian(rows, 1), icfOptions.parse({ density: 1e-4 }));
  expect(report.usedItems).toBe(30);
  expect(report.fitSeconds).toBeLessThan(2);
});

test('the report is plain JSON and the stages are heard in order', () => {
  const heard: string[] = [];
  const gramian = denseGramian(gramOf(randomX(seeded(4), 20, 10, 0.4), 10));
  const { report } = fitModel(gramian, icfOptions.parse({ density: 0.3 }), (stage, fraction) => {
    expect(fraction).toBeGreaterThanOrEqual(0);
    expect(fraction).toBeLessThanOrEqual(1);
    if (heard.at(-1) !== stage) heard.push(stage);
  });
  expect(heard).toEqual(['order', 'scale', 'factor', 'inverse', 'weights']);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
});
