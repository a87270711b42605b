/**
 * The exact solver against dense EASE, and its factor form against SANSA by a dense factor cut by hand, both computed in plain
 * float64; from X and from a stored Gramian, whatever the threads; its memory as planned, and what is refused.
 */
import { describe, expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { memoryOfFit, planFit } from '#src/fit/memory.js';
import { degreeOrder } from '#src/fit/order.js';
import type { Rows } from '#src/matrix/rows.js';
import { exactOptions } from '#src/solvers/exact/options.js';
import {
  build,
  cholesky,
  type Dense,
  distance,
  easeWeights,
  fromCsr,
  weightsOf,
} from '../../../support/dense.js';
import { gramian, randomRows } from '../../../support/rows.js';

const users = 300;
const rowsOfType = (most: number): Rows =>
  randomRows({ users, items: 150, density: 0.08, seed: 4 + most, most });

const input = (rows: Rows) => ({ mode: 'implicit', rows, scale: 1 }) as const;

/** G + λI */
function shifted(rows: Rows, l2: number): Dense {
  const G = gramian(rows);
  return build(rows.n, rows.n, (i, j) => G[i]![j]! + (i === j ? l2 : 0));
}

/** The `count` entries of largest magnitude in each row, without the diagonal. */
const cutRows = (B: Dense, count: number): Dense =>
  B.map((row, i) => {
    const others = row.map((b, j) => (i === j ? 0 : Math.abs(b))).sort((a, b) => b - a);
    return row.map((b, j) => (i !== j && Math.abs(b) >= others[count - 1]! ? b : 0));
  });

describe.each([1, 5])('values up to %i', most => {
  const rows = rowsOfType(most);
  const B = easeWeights(shifted(rows, 7));

  it('is EASE but for its diagonal', async () => {
    const options = exactOptions.parse({ l2: 7, userWeighting: 0, serving: 0 });
    const { model, report } = await fit(input(rows), options, { threads: 1 });
    expect(distance(weightsOf(model), cutRows(B, rows.n - 1))).toBeLessThan(1e-6);
    expect(report).toMatchObject({ l2: 7, factorEntries: (rows.n * (rows.n + 1)) / 2 });
  });

  it('keeps the largest entries of each row, and serves them', async () => {
    const options = exactOptions.parse({ l2: 7, userWeighting: 0, entries: 20 });
    const { model } = await fit(input(rows), options, { threads: 1 });
    expect(distance(weightsOf(model), cutRows(B, 20))).toBeLessThan(1e-6);
    expect(distance(fromCsr(model.serving!), cutRows(B, 20))).toBeLessThan(1e-6);
    const { model: unsigned } = await fit(input(rows), { ...options, signedServing: false }, { threads: 1 });
    const positive = cutRows(B, 20).map(row => row.map(b => Math.max(0, b)));
    expect(distance(fromCsr(unsigned.serving!), positive)).toBeLessThan(1e-6);
  });

  it('comes near it in float32', async () => {
    const options = exactOptions.parse({ l2: 7, userWeighting: 0, precision: 'float32', serving: 0 });
    const { model } = await fit(input(rows), options, { threads: 1 });
    const error = distance(weightsOf(model), cutRows(B, rows.n - 1));
    expect(error).toBeLessThan(1e-4);
    expect(error).toBeGreaterThan(1e-8);
  });

  it.each(['inverse', 'factor'] as const)('is the same for any number of threads, form %s', async form => {
    const options = exactOptions.parse({ form, density: 0.1 });
    const [one, three] = await Promise.all([1, 3].map(threads => fit(input(rows), options, { threads })));
    expect(three!.model).toEqual(one!.model);
  });

  it('by its factor is SANSA with the factor cut, to EASE as more of it stays', async () => {
    const parse = (density: number) =>
      exactOptions.parse({ form: 'factor', l2: 7, userWeighting: 0, density, scans: 20, tolerance: 0 });
    const { model: whole } = await fit(input(rows), parse(1), { threads: 1 });
    // The layers keep the diagonal, −1 everywhere.
    expect(distance(cutRows(weightsOf(whole), rows.n - 1), cutRows(B, rows.n - 1))).toBeLessThan(1e-4);
    const { model, report } = await fit(input(rows), { ...parse(0.05), scans: 0 }, { threads: 1 });
    const budget = Math.ceil(0.05 * rows.n ** 2);
    expect(report.factorEntries).toBeLessThanOrEqual(budget);
    expect(report.factorEntries).toBeGreaterThan(budget - 10);
    expect(distance(weightsOf(model), bySchultz(rows, budget))).toBeLessThan(1e-5);
  });
});

/** −M_ij / M_jj for M = KᵀD⁻¹K, K = 2I − L̂, L̂ D^½ the exact factor with its `budget` largest entries. */
function bySchultz(rows: Rows, budget: number): Dense {
  const { n } = rows;
  const A = shifted(rows, 7);
  const order = degreeOrder(Float64Array.from(A, (row, i) => row[i]! - 7));
  const L = cholesky(build(n, n, (i, j) => A[order[i]!]![order[j]!]!));
  const below = L.flatMap((row, i) => row.filter((_, j) => j < i)).sort((a, b) => Math.abs(b) - Math.abs(a));
  const bar = Math.abs(below[budget - n]!);
  const K = build(n, n, (i, j) => (i === j ? 1 : Math.abs(L[i]![j]!) > bar ? -L[i]![j]! / L[j]![j]! : 0));
  const M = build(n, n, (i, j) => K.reduce((s, row, k) => s + (row[i]! * row[j]!) / L[k]![k]! ** 2, 0));
  const place = new Int32Array(n);
  order.forEach((item, k) => {
    place[item] = k;
  });
  return build(n, n, (i, j) => -M[place[i]!]![place[j]!]! / M[place[j]!]![place[j]!]!);
}

it.each([
  ['inverse', 'float64', 1, 0],
  ['inverse', 'float32', 3, 0],
  ['factor', 'float64', 3, 0],
  ['factor', 'float64', 3, 4],
] as const)(
  'takes the memory that was planned: %s, %s, %i threads, %i scans',
  async (form, precision, threads, scans) => {
    const rows = randomRows({ users: 3000, items: 1500, density: 0.01, seed: 3 });
    const options = exactOptions.parse({ form, precision, scans });
    const { report } = await fit(input(rows), options, { threads });
    const size = { users: 3000, items: 1500, interactions: rows.indices.length, valued: false };
    const planned = memoryOfFit({ ...size, mode: 'implicit', options }, threads);
    expect(planned.kernels).toBeGreaterThanOrEqual(report.workingBytes);
    expect(planned.kernels).toBeLessThan(1.2 * report.workingBytes + 2 ** 20);
  },
);

describe('refuses beforehand', () => {
  const size = {
    users: 100_000,
    items: 20_000,
    interactions: 10 ** 6,
    valued: false,
    mode: 'implicit',
    options: exactOptions.parse({}),
  } as const;
  const refusal = (items: number, memoryBytes: number): string => {
    try {
      planFit({ ...size, items }, memoryBytes, 2);
    } catch (error) {
      expect(error).toMatchObject({ code: 'MEMORY_BUDGET', exitCode: 2 });
      return (error as Error).message;
    }
    return '';
  };

  it('what does not fit, with the largest catalogue that does', () => {
    const message = refusal(20_000, 2 ** 30);
    const [, most] = /precision: float32, or at most (\d+) items$/.exec(message)!;
    expect(refusal(Number(most), 2 ** 30)).toBe('');
    expect(refusal(Number(most) + 1, 2 ** 30)).not.toBe('');
  });

  it('what 32-bit addresses do not reach, whatever the memory', () => {
    const message = refusal(50_000, 2 ** 36);
    const [, most] = /at most (\d+) items$/.exec(message)!;
    expect(Number(most)).toBeGreaterThan(30_000);
    expect(Number(most)).toBeLessThan(33_000);
  });
});
