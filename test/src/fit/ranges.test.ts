/**
 * A fit in ranges writes the file that a fit in memory writes, byte for byte, whatever the ranges and threads, of either
 * kind of Gramian; it leaves nothing else, and the plan chooses it only where the whole does not fit.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fit, type GramianInput } from '#src/fit/fit.js';
import { fitInRanges } from '#src/fit/fit-ranges.js';
import { memoryOfFit, planFit } from '#src/fit/memory.js';
import { planWrittenFit } from '#src/fit/ranges.js';
import { buildSegment } from '#src/gramian/build.js';
import { fromNothing } from '#src/matrix/rows.js';
import { saveModel } from '#src/model/weights-file.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { temporaryDirectory } from '../../support/directory.js';
import { randomRows } from '../../support/rows.js';

const cases = fc.record({
  seed: fc.nat(),
  items: fc.integer({ min: 1, max: 60 }),
  most: fc.constantFrom(1, 3),
  mode: fc.constantFrom('implicit', 'stored'),
  threads: fc.constantFrom(1, 2),
  neighbours: fc.integer({ min: 1, max: 20 }),
  eta: fc.constantFrom(0, 0.5),
  serving: fc.constantFrom(0, 3, 30),
  signedServing: fc.boolean(),
  power: fc.constantFrom(0, 0.2),
  factorBytes: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 18 })),
  itemBytes: fc.constantFrom(1, 500, 5_000, 2 ** 30),
});

it('writes what a fit in memory is, for any ranges', async () => {
  const seen = new Set<number>();
  await fc.assert(
    fc.asyncProperty(cases, async given => {
      const { seed, items, most, mode, threads, neighbours, eta, serving, factorBytes, itemBytes } = given;
      const rows = randomRows({ users: 3 * items, items, density: 0.2, seed, most });
      const directory = temporaryDirectory();
      const segment = await buildSegment(directory, 1, fromNothing(rows), 1, eta);
      const stored = segment && mode === 'stored';
      const input: GramianInput = stored
        ? { mode: 'stored', paths: [join(directory, segment.file)], n: items, scale: 1 }
        : { mode: 'implicit', rows, scale: 1 };
      const { signedServing, power: inputPower } = given;
      const powers = { inputPower, outputPower: inputPower / 2 };
      const settings = { neighbours, serving, signedServing, userWeighting: eta, ...powers };
      const options = fsaiOptions.parse(settings);
      const whole = await fit(input, options, { threads: 1 });
      saveModel(join(directory, 'whole'), whole.model, { solver: 'fsai' });
      const before = readdirSync(directory).length;
      const ranges = { kernelBytes: 2 ** 30, factorBytes, itemBytes, serving };
      const report = await fitInRanges(join(directory, 'ranged'), input, options, ranges, { threads });
      const [ranged, saved] = ['ranged', 'whole'].map(name => readFileSync(join(directory, name)));
      expect(ranged!.equals(saved!)).toBe(true);
      expect(readdirSync(directory).length).toBe(before + 1);
      expect(report.readings).toBe(2 * report.ranges!);
      seen.add(report.ranges!);
      const { parameters, factorEntries, l2, serving: width } = whole.report;
      expect(report).toMatchObject({ parameters, factorEntries, l2, serving: width });
    }),
    { numRuns: 60 },
  );
  expect(seen.size).toBeGreaterThan(5);
});

it('stays within its share while rows are solved, and reads them back in pieces', async () => {
  const directory = temporaryDirectory();
  const items = 70_000;
  const rows = randomRows({ users: 3_000, items, density: 20 / items, seed: 2 });
  const segment = await buildSegment(directory, 1, fromNothing(rows), 1);
  const options = fsaiOptions.parse({ neighbours: 20, serving: 0, userWeighting: 0 });
  const input = { mode: 'stored', paths: [join(directory, segment!.file)], n: items, scale: 1 } as const;
  const whole = await fit(input, options, { threads: 2 });
  saveModel(join(directory, 'whole'), whole.model, { solver: 'fsai' });
  const factorBytes = 40 * 2 ** 20;
  const ranges = { kernelBytes: 2 ** 30, factorBytes, itemBytes: 2 ** 20, serving: 0 };
  const report = await fitInRanges(join(directory, 'ranged'), input, options, ranges, { threads: 2 });
  expect(report.ranges).toBeGreaterThan(2);
  expect(report.workingBytes).toBeLessThan(factorBytes);
  expect(readFileSync(join(directory, 'ranged')).equals(readFileSync(join(directory, 'whole')))).toBe(true);
});

it('removes what it has written when it fails', async () => {
  const directory = temporaryDirectory();
  const rows = randomRows({ users: 300, items: 200, density: 0.1, seed: 1 });
  const options = fsaiOptions.parse({ neighbours: 5 });
  const ranges = { kernelBytes: 2 ** 20, factorBytes: 5_000, itemBytes: 2 ** 30, serving: 1_000 };
  const failed = fitInRanges(
    join(directory, 'ranged'),
    { mode: 'implicit', rows, scale: 1 },
    options,
    ranges,
  );
  await expect(failed).rejects.toMatchObject({ code: 'MEMORY_BUDGET' });
  expect(readdirSync(directory)).toEqual([]);
});

const catalogue = (items: number, given: object = {}) => ({
  users: 10 * items,
  items,
  interactions: 100 * items,
  valued: false,
  mode: 'stored' as const,
  files: [400 * items],
  options: fsaiOptions.parse(given),
});

it('is planned where the whole does not fit, within the budget', () => {
  const memory = 2 ** 32;
  expect(planWrittenFit(catalogue(1e6), memory, 2)).toEqual(planFit(catalogue(1e6), memory, 2));
  const { threads, memory: planned, ranges } = planWrittenFit(catalogue(1e7), memory, 2);
  expect(memoryOfFit(catalogue(1e7), 1, memory).total).toBeGreaterThan(memory);
  expect(threads).toBe(2);
  expect(planned.total).toBeLessThanOrEqual(memory);
  // half of the budget holds that many entries when the model is read back
  expect(ranges!.serving).toBe(Math.floor(2 ** 31 / 8 / 1e7));
  expect(planWrittenFit(catalogue(1e7, { serving: 100 }), memory, 2).ranges!.serving).toBe(100);
  expect(planWrittenFit(catalogue(1.4e7), memory, 2).ranges!.serving).toBe(0);
  // columns of a pruned view are short, so that more is left for rows
  const room = (keep?: number) => planWrittenFit({ ...catalogue(1.4e7), keep }, memory, 2);
  expect([room().threads, room(200).threads]).toEqual([1, 2]);
  // rows fit, and a decoder in memory does not
  const wide = { neighbours: 64 };
  expect(planWrittenFit(catalogue(1e6, wide), 600 * 2 ** 20, 2).ranges!.serving).toBe(0);
  expect(() => planWrittenFit(catalogue(1e6, { ...wide, serving: 100 }), 600 * 2 ** 20, 2)).toThrow(
    'serving: 0',
  );
  expect(() => planWrittenFit(catalogue(1e7), 2 ** 30, 2)).toThrow('neighbours');
});
