/**
 * The fit of the product (kernels over shared memory) against two others: the dense one, at full density, and the
 * plain one, which is TypeScript over ordinary arrays, everywhere else. Stored and implicit Gramians, any number
 * of threads and any fixed-point scale give the same model.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fit, type GramianInput } from '#src/fit/fit.js';
import { buildSegment } from '#src/gramian/build.js';
import { fromNothing, type Rows } from '#src/matrix/rows.js';
import type { Model } from '#src/model/model.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { type IcfOptions, icfOptions } from '#src/solvers/icf/options.js';
import { build, type Dense, distance, easeWeights, gramOf, weightsOf } from '../../support/dense.js';
import { temporaryDirectory } from '../../support/directory.js';
import { fit as plainFit } from '../../support/plain/fit.js';
import { implicitGramian } from '../../support/plain/implicit.js';
import { randomX, rowsOf, seeded } from '../../support/random.js';

const exact = { density: 1, scans: 500, tolerance: 1e-15 };
const implicit = (rows: Rows, scale = 1): GramianInput => ({ mode: 'implicit', rows, scale });
const oneThread = { threads: 1 };

/** The segments of X added in `parts` slices of users, as a stored Gramian. */
async function stored(rows: Rows, parts: number, scale = 1): Promise<GramianInput> {
  const directory = temporaryDirectory();
  const paths: string[] = [];
  for (let part = 0; part < parts; part++) {
    const mine = Array.from(rows.users.keys()).filter(r => r % parts === part);
    const take = (a: Int32Array) =>
      Int32Array.from(mine.flatMap(r => [...a.subarray(rows.indptr[r]!, rows.indptr[r + 1]!)]));
    const indptr = new Int32Array(mine.length + 1);
    mine.forEach((r, k) => {
      indptr[k + 1] = indptr[k]! + rows.indptr[r + 1]! - rows.indptr[r]!;
    });
    const users = Int32Array.from(mine, r => rows.users[r]!);
    const slice: Rows = {
      n: rows.n,
      users,
      indptr,
      indices: take(rows.indices),
      values: rows.values && take(rows.values),
    };
    const segment = await buildSegment(directory, scale, fromNothing(slice));
    if (segment) paths.push(`${directory}/${segment.file}`);
  }
  return { mode: 'stored', paths, n: rows.n, scale };
}

function difference(a: Model, b: Model): number {
  expect([...a.encoder.indptr]).toEqual([...b.encoder.indptr]);
  expect([...a.encoder.indices]).toEqual([...b.encoder.indices]);
  expect([...a.decoder.indices]).toEqual([...b.decoder.indices]);
  const largest = (x: Float32Array, y: Float32Array) =>
    x.reduce((m, v, e) => Math.max(m, Math.abs(v - y[e]!)), 0);
  return Math.max(largest(a.encoder.data, b.encoder.data), largest(a.decoder.data, b.decoder.data));
}

const scaledGram = (G: Dense, l2: number): { A: Dense; s: number[] } => {
  const s = G.map(row => Math.hypot(...row)).map(norm => (norm > 0 ? norm ** -0.5 : 1));
  return { A: build(G.length, G.length, (i, j) => s[i]! * G[i]![j]! * s[j]! + (i === j ? l2 : 0)), s };
};

describe('at full density the weights are those of EASE', () => {
  const cases = fc.tuple(fc.integer(), fc.integer({ min: 1, max: 20 }), fc.constantFrom(1, 3));
  const each = (check: (X: Dense, G: Dense) => Promise<void>) =>
    fc.assert(
      fc.asyncProperty(cases, async ([seed, n, max]) => {
        const X = randomX(seeded(seed), 2 * n, n, 0.25, max);
        await check(X, gramOf(X, n));
      }),
      { numRuns: 40 },
    );
  const weights = async (X: Dense, n: number, options: Partial<IcfOptions>) =>
    weightsOf(
      (await fit(implicit(rowsOf(X, n)), icfOptions.parse({ ...exact, ...options }), oneThread)).model,
    );

  it('of S G S + λI', () =>
    each(async (X, G) => {
      const found = await weights(X, G.length, { l2: 0.5 });
      expect(distance(found, easeWeights(scaledGram(G, 0.5).A))).toBeLessThan(1e-4);
    }));

  it('of G + λI without scaling', () =>
    each(async (X, G) => {
      const n = G.length;
      const A = build(n, n, (i, j) => G[i]![j]! + (i === j ? 5 : 0));
      expect(distance(await weights(X, n, { l2: 5, scale: false }), easeWeights(A))).toBeLessThan(1e-4);
    }));

  it('of G + λS⁻² when they are scaled back', () =>
    each(async (X, G) => {
      const n = G.length;
      const { s } = scaledGram(G, 0.5);
      const A = build(n, n, (i, j) => G[i]![j]! + (i === j ? 0.5 / s[i]! ** 2 : 0));
      expect(distance(await weights(X, n, { l2: 0.5, rescale: true }), easeWeights(A))).toBeLessThan(1e-4);
    }));
});

describe('the model is that of the plain implementation, to 1e-6', () => {
  it.each([
    ['binary', 1, {}],
    ['weights', 4, {}],
    ['small λ, with scans', 1, { l2: 0.05, scans: 3, tolerance: 0 }],
    ['unscaled', 1, { scale: false, l2: 3 }],
    ['rescaled', 4, { rescale: true }],
  ] as const)('%s', async (_, max, options) => {
    for (let seed = 0; seed < 12; seed++) {
      const n = 80;
      const rows = rowsOf(randomX(seeded(seed), 120, n, 0.06, max), n);
      const parsed = icfOptions.parse({ density: 0.05, l2: 2, ...options });
      const { model } = await fit(implicit(rows), parsed, oneThread);
      expect(difference(model, plainFit(implicitGramian(rows, 1), parsed).model)).toBeLessThan(1e-6);
    }
  });
});

it('stored and implicit Gramians, one thread and three, give the same model', async () => {
  for (let seed = 0; seed < 6; seed++) {
    const n = 150;
    const rows = rowsOf(randomX(seeded(seed), 200, n, 0.05, seed % 2 === 0 ? 1 : 5), n);
    const options = icfOptions.parse({ density: 0.03, l2: 1, tolerance: 0, scans: 2 });
    const { model } = await fit(implicit(rows), options, oneThread);
    expect((await fit(implicit(rows), options, { threads: 3 })).model).toEqual(model);
    expect((await fit(await stored(rows, 1), options, oneThread)).model).toEqual(model);
    expect((await fit(await stored(rows, 3), options, oneThread)).model).toEqual(model);
  }
});

it('the fixed-point scale does not matter', async () => {
  const X = randomX(seeded(2), 60, 30, 0.2, 3);
  const scaled = X.map(row => row.map(x => x * 10));
  for (const scale of [true, false]) {
    const options = icfOptions.parse({ density: 0.2, l2: scale ? 2 : 50, scale });
    const { model } = await fit(implicit(rowsOf(X, 30)), options, oneThread);
    const { model: same } = await fit(implicit(rowsOf(scaled, 30), 10), options, oneThread);
    expect(difference(model, same)).toBeLessThan(1e-6);
  }
});

it.each([
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
])('%s', async (_, X) => {
  const n = X[0]!.length;
  const G = gramOf(X, n);
  const { model, report } = await fit(
    implicit(rowsOf(X, n)),
    icfOptions.parse({ ...exact, l2: 2 }),
    oneThread,
  );
  expect(distance(weightsOf(model), easeWeights(scaledGram(G, 2).A))).toBeLessThan(1e-5);
  expect(report.usedItems).toBe(G.filter((row, j) => row[j]! > 0).length);
});

it('a catalogue without items gives an empty model', async () => {
  const { model } = await fit(implicit(rowsOf([], 0)), icfOptions.parse({}), oneThread);
  expect(model.n).toBe(0);
});

it('a budget that does not suffice is refused with the numbers', async () => {
  const rows = rowsOf(randomX(seeded(1), 500, 400, 0.1), 400);
  const refused = fit(implicit(rows), icfOptions.parse({ density: 0.1 }), {
    threads: 1,
    memoryBytes: 100_000,
  });
  await expect(refused).rejects.toMatchObject({
    code: 'MEMORY_BUDGET',
    message: expect.stringMatching(/needs \d+ bytes/),
  });
});

it('the loss falls from scan to scan, and the report is plain JSON', async () => {
  const rows = rowsOf(randomX(seeded(3), 200, 60, 0.15), 60);
  const heard: string[] = [];
  const options = icfOptions.parse({ density: 1, l2: 0.2, scans: 8, tolerance: 0 });
  const { report } = await fit(implicit(rows), options, {
    threads: 1,
    report: stage => void (heard.at(-1) !== stage && heard.push(stage)),
  });
  expect(report.losses!.length).toBeGreaterThan(3);
  expect(report.losses!).toEqual(report.losses!.toSorted((a, b) => b - a));
  expect(heard).toEqual(['order', 'scale', 'factor', 'inverse', 'weights', 'serving']);
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
});

it.each([
  icfOptions.parse({ l2: 1, scale: false, density: 1e-4 }),
  fsaiOptions.parse({ l2: 1, neighbours: 2, userWeighting: 0 }),
])('sums start again before they pass the range of their type: $solver', async options => {
  // Sums of a column stand on a base that grows by 120,001 with each of 20,001 columns: past 2³¹.
  const [users, others] = [120_000, 20_000];
  const rows: Rows = {
    n: others + 1,
    users: Int32Array.from({ length: users }, (_, u) => u),
    indptr: Int32Array.from({ length: users + 1 }, (_, u) => 2 * u),
    indices: Int32Array.from({ length: 2 * users }, (_, e) => e % 2 && 1 + ((e >> 1) % others)),
    values: undefined,
  };
  const [a, b] = await Promise.all(
    [implicit(rows), await stored(rows, 1)].map(input => fit(input, options, oneThread)),
  );
  expect(difference(a!.model, b!.model)).toBe(0);
  expect(a!.model.encoder.data.length).toBeGreaterThan(others + 1);
});
