/** The plan of a fit: an upper bound of what it really takes, fewer threads before refusing, and advice that works. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { assertWorkable, memoryOfFit, planFit } from '#src/fit/memory.js';
import { buildSegment } from '#src/gramian/build.js';
import { fromNothing } from '#src/matrix/rows.js';
import { parseSize } from '#src/size.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { icfOptions } from '#src/solvers/icf/options.js';
import { temporaryDirectory } from '../../support/directory.js';
import { randomRows, rowsBetween } from '../../support/rows.js';

const size = {
  users: 52_643,
  items: 91_599,
  interactions: 2_382_397,
  valued: false,
  mode: 'implicit',
  options: icfOptions.parse({ density: 5e-5, serving: 0 }),
} as const;

describe('sizes', () => {
  it.each([
    ['4096', 4096],
    ['256MiB', 2 ** 28],
    ['1.5GB', 1.5e9],
    ['2 gib', 2 ** 31],
    ['10k', 10_000],
  ])('%s', (text, bytes) => {
    expect(parseSize(text, 'memory')).toBe(bytes);
  });

  it.each(['', 'much', '-1MB', '1TBs', '1e9'])('refuses %o', text => {
    expect(() => parseSize(text, 'memory')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('memory: expected a size'),
      }),
    );
  });
});

it.each([
  [1, 1, 0],
  [1, 3, 2],
  [5, 2, 0],
  [5, 1, 3],
])(
  'is not less than what the kernels take (values up to %i, %i threads, %i scans)',
  async (most, threads, scans) => {
    const rows = randomRows({ users: 3000, items: 1500, density: 0.01, seed: 3, most });
    for (const options of [
      icfOptions.parse({ density: 0.002, scans, tolerance: 0, l2: 2, serving: 0 }),
      icfOptions.parse({ density: 0.05, scans, tolerance: 0, l2: 2, userWeighting: 0.5 }),
      fsaiOptions.parse({ neighbours: 10 + 40 * scans, serving: 20 * scans }),
    ]) {
      const { report } = await fit({ mode: 'implicit', rows, scale: 1 }, options, { threads });
      const planned = memoryOfFit(
        {
          users: rows.users.length,
          items: rows.n,
          interactions: rows.indices.length,
          valued: rows.values !== undefined,
          mode: 'implicit',
          options,
        },
        threads,
      );
      expect(planned.kernels).toBeGreaterThanOrEqual(report.workingBytes);
      expect(planned.kernels).toBeLessThan(2 * report.workingBytes + 2 ** 20);
    }
  },
);

it('covers loading X where users are many more than items', async () => {
  const rows = randomRows({ users: 80_000, items: 40, density: 0.05, seed: 3 });
  const options = fsaiOptions.parse({ serving: 0 });
  const { report } = await fit({ mode: 'implicit', rows, scale: 1 }, options, { threads: 1 });
  const interactions = rows.indices.length;
  const counts = { users: rows.users.length, items: rows.n, interactions, valued: false };
  const planned = memoryOfFit({ ...counts, mode: 'implicit', options }, 1);
  expect(planned.kernels).toBeGreaterThanOrEqual(report.workingBytes);
});

describe('from a stored Gramian', () => {
  // dense columns in each segment: their sum has fewer entries than they have together
  const rows = randomRows({ users: 3000, items: 1500, density: 0.03, seed: 3, most: 3 });
  const plans = [
    icfOptions.parse({ density: 0.05, scans: 1, tolerance: 0, l2: 2 }),
    fsaiOptions.parse({ neighbours: 60, serving: 50, userWeighting: 0 }),
    // takes less than the pruned view that it reads
    fsaiOptions.parse({ neighbours: 2, serving: 0, userWeighting: 0 }),
  ] as const;

  it.each([
    [1, 1, undefined],
    [3, 2, undefined],
    [1, 1, 1400],
    [3, 2, 1400],
  ])(
    'is not less than what a fit from %i files on %i threads takes, pruned to %s rows',
    async (count, threads, keep) => {
      const directory = temporaryDirectory();
      const segments = [];
      for (let k = 0; k < count; k++) {
        const part = rowsBetween(rows, (k * 3000) / count, ((k + 1) * 3000) / count);
        segments.push((await buildSegment(directory, 1, fromNothing(part)))!);
      }
      const paths = segments.map(({ file }) => join(directory, file));
      const pruning = keep === undefined ? undefined : { keep, alpha: 0.3, directory };
      const input = { mode: 'stored', paths, n: rows.n, scale: 1, pruning } as const;
      const counts = { users: 3000, items: rows.n, interactions: rows.indices.length, valued: true };
      for (const options of plans) {
        const size = { ...counts, mode: 'stored', files: segments.map(s => s.bytes), keep, options } as const;
        // the smallest memory that the plan takes for enough: what is left over is used for larger loads
        let memoryBytes = 2 ** 24;
        while (memoryOfFit(size, threads, memoryBytes).kernels > memoryBytes) memoryBytes *= 1.01;
        const planned = memoryOfFit(size, threads, memoryBytes).kernels;
        const { report } = await fit(input, options, { threads, memoryBytes });
        expect(planned).toBeGreaterThanOrEqual(report.workingBytes);
      }
    },
  );
});

it('gives up threads before it refuses', () => {
  const one = memoryOfFit(size, 1).total;
  const four = memoryOfFit(size, 4).total;
  expect(four).toBeGreaterThan(one);
  expect(planFit(size, four, 4).threads).toBe(4);
  expect(planFit(size, four - 1, 4).threads).toBeLessThan(4);
  expect(planFit(size, one, 4).threads).toBe(1);
});

it('refuses what does not fit with the numbers, and its advice works', () => {
  const dense = { ...size, options: icfOptions.parse({ density: 5e-3, serving: 0 }) };
  const refusal = (): string => {
    try {
      planFit(dense, 2 ** 27, 2);
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  const [, memory, density] = /memory: (\d+ MiB) would do, or density: (\S+)$/.exec(refusal())!;
  expect(planFit(dense, parseSize(memory!.replace(' ', ''), 'memory'), 2).threads).toBe(1);
  expect(
    planFit({ ...dense, options: { ...dense.options, density: 0.95 * Number(density) } }, 2 ** 27, 2).threads,
  ).toBeGreaterThan(0);
  expect(() => planFit(size, 2 ** 24, 2)).toThrow(
    expect.objectContaining({ code: 'MEMORY_BUDGET', exitCode: 2 }),
  );
  expect(() => assertWorkable(2 ** 23)).toThrow(expect.objectContaining({ code: 'MEMORY_BUDGET' }));
});

it('never says that it found what it takes, and names the declared budget that works and no less', () => {
  const { total } = memoryOfFit(size, 1);
  const refusal = (found: number) => {
    try {
      planFit(size, found, 1, { budgetFor: bytes => bytes + 2 ** 26 });
    } catch (error) {
      const [, ...numbers] = /takes (\d+) MiB .* found (\d+) MiB; memory: (\d+) MiB would do/.exec(
        (error as Error).message,
      )!;
      return numbers.map(Number) as [number, number, number];
    }
    throw new Error('it fits');
  };
  for (const missing of [1, 1000, 2 ** 20, 3 * 2 ** 20]) {
    const [takes, found, budget] = refusal(total - missing);
    expect(found).toBeLessThan(takes);
    const left = budget * 2 ** 20 - 2 ** 26;
    expect(planFit(size, left, 1).threads).toBe(1);
    expect(() => planFit(size, left - 2 ** 20, 1)).toThrow('takes');
  }
});

it('needs little for a stored Gramian, however many interactions there are', () => {
  const many = { ...size, interactions: 500_000_000, users: 10_000_000 };
  expect(memoryOfFit({ ...many, mode: 'stored', files: new Array(8).fill(2 ** 30) }, 1).total).toBeLessThan(
    2 ** 27,
  );
  expect(memoryOfFit(many, 1).total).toBeGreaterThan(2 ** 32);
});
