/** ELSA and compressed ELSA as solvers: their layers, what they report, their memory as planned, and what is refused. */
import { describe, expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { memoryOfFit, planFit } from '#src/fit/memory.js';
import { fitOptions } from '#src/solvers/index.js';
import { distance, fromCsr, multiply } from '../../../support/dense.js';
import { randomRows } from '../../../support/rows.js';

const rows = randomRows({ users: 6000, items: 300, density: 0.03, seed: 3 });
const input = { mode: 'implicit', rows, scale: 1 } as const;

describe.each([
  ['elsa', { rank: 20 }, 20, 20],
  ['elsa', { rank: 1000 }, 300, 300],
  ['compressed-elsa', { rank: 100, kept: 5 }, 100, 5],
] as const)('%s of %o', (solver, settings, rank, each) => {
  const options = fitOptions.parse({ solver, ...settings, steps: 6 });

  it('has rows of unit norm as encoder and their transpose as decoder', async () => {
    const { model, report } = await fit(input, options, { threads: 1 });
    const A = fromCsr(model.encoder);
    expect([model.encoder.rows, model.encoder.columns]).toEqual([rows.n, rank]);
    const decoder = fromCsr(model.decoder);
    expect(decoder.map((row, c) => distance([row], [A.map(a => a[c]!)])).every(d => d === 0)).toBe(true);
    for (const [i, a] of A.entries()) {
      const norm = Math.hypot(...a);
      expect(i % 13 === 5 ? norm : Math.abs(norm - 1)).toBeLessThan(1e-6); // nobody has those items
      expect(a.filter(x => x !== 0).length).toBeLessThanOrEqual(each);
    }
    const scores = multiply(A, decoder);
    expect([model.serving, report.serving, report.servedBy]).toEqual([undefined, 0, 'layers']);
    const { model: matrix } = await fit(input, { ...options, serving: 40 }, { threads: 1 });
    const { indptr, indices, data } = matrix.serving!;
    expect(indptr[2]!).toBeGreaterThan(indptr[1]!);
    for (let e = indptr[1]!; e < indptr[2]!; e++)
      expect(Math.abs(data[e]! - scores[1]![indices[e]!]!)).toBeLessThan(1e-5);
    const { losses } = report;
    expect(losses).toHaveLength(6);
    expect(losses!.slice(3).every((loss, t) => loss <= losses![t + 2]!)).toBe(true);
  });

  it('is the same for any number of threads, and takes the memory that was planned', async () => {
    const one = await fit(input, options, { threads: 1 });
    const three = await fit(input, options, { threads: 3 });
    expect(three.model).toEqual(one.model);
    for (const [threads, { report }] of [
      [1, one],
      [3, three],
    ] as const) {
      const size = { users: 6000, items: rows.n, interactions: rows.indices.length, valued: true };
      const planned = memoryOfFit({ ...size, valued: false, mode: 'implicit', options }, threads);
      expect(planned.kernels).toBeGreaterThanOrEqual(report.workingBytes);
      expect(planned.kernels).toBeLessThan(1.5 * report.workingBytes + 2 ** 20);
    }
  });

  it('is refused where it does not fit, with what does', () => {
    const size = {
      users: 10 ** 5,
      items: 10 ** 5,
      interactions: 10 ** 6,
      valued: false,
      mode: 'implicit',
      options: fitOptions.parse({ solver }),
    } as const;
    const message = (): string => {
      try {
        planFit(size, 2 ** 28, 1);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    };
    const [, rank, items] = /rank: (\d+), or at most (\d+) items$/.exec(message())!;
    const smaller = fitOptions.parse({ solver, rank: Number(rank) });
    expect(planFit({ ...size, options: smaller }, 2 ** 28, 1).threads).toBe(1);
    expect(planFit({ ...size, items: Number(items) }, 2 ** 28, 1).threads).toBe(1);
    expect(() => planFit({ ...size, items: Number(items) + 1 }, 2 ** 28, 1)).toThrow('MiB');
  });
});

it('with values weighs them', async () => {
  const valued = randomRows({ users: 500, items: 60, density: 0.1, seed: 3, most: 5 });
  const options = fitOptions.parse({ solver: 'elsa', rank: 8, steps: 5 });
  const { report } = await fit({ mode: 'implicit', rows: valued, scale: 1 }, options, { threads: 2 });
  const { report: plain } = await fit(
    { mode: 'implicit', rows: { ...valued, values: undefined }, scale: 1 },
    options,
    { threads: 2 },
  );
  expect(report.losses![0]).not.toBe(plain.losses![0]);
  expect(report.losses![4]!).toBeLessThan(report.losses![0]!);
  const size = { users: 500, items: 60, interactions: valued.indices.length, valued: true };
  const planned = memoryOfFit({ ...size, mode: 'implicit', options }, 2);
  expect(planned.kernels).toBeGreaterThanOrEqual(report.workingBytes);
});

it('is refused on a stored Gramian', () => {
  const size = { users: 10, items: 10, interactions: 50, valued: false, mode: 'stored' } as const;
  const options = fitOptions.parse({ solver: 'elsa' });
  expect(() => planFit({ ...size, options }, 2 ** 30, 1)).toThrow(
    expect.objectContaining({ code: 'INTERACTIONS_NEEDED' }),
  );
});
