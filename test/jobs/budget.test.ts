import fc from 'fast-check';
import { expect, test } from 'vitest';
import { divideBudget, leastBudget, type Occupants } from '#jobs/budget.js';

const mebibyte = 2 ** 20;
const occupants = fc.record({
  streams: fc.nat(3),
  tables: fc.nat(3),
  reading: fc.constantFrom<Occupants['reading']>('alone', 'beside', 'service'),
});
const parts = ['state', 'stream', 'table', 'step', 'work'] as const;

test('more memory never means less of any part', () => {
  fc.assert(
    fc.property(
      occupants,
      fc.integer({ min: 104, max: 4096 }),
      fc.integer({ min: 1, max: 64 }),
      (o, mib, more) => {
        const [less, budget] = [mib, mib + more].map(m => divideBudget(m * mebibyte, o));
        for (const part of parts) expect(budget![part]).toBeGreaterThanOrEqual(less![part]);
      },
    ),
  );
});

test('what is used at the same time fits into the budget, and the least budget for a part gives it', () => {
  fc.assert(
    fc.property(occupants, fc.integer({ min: 104, max: 4096 }), (o, mib) => {
      const { state, stream, table, work, inTurns } = divideBudget(mib * mebibyte, o);
      const left = mib * mebibyte - state;
      if (o.reading === 'alone') expect(Math.max(stream, table, work)).toBeLessThanOrEqual(left);
      else {
        const streams = o.streams * stream;
        expect(streams + (inTurns ? 0 : o.tables * table) + work).toBeLessThanOrEqual(left);
        if (inTurns) expect(streams + table).toBeLessThanOrEqual(left);
      }
      for (const part of parts) {
        const bytes = divideBudget(mib * mebibyte, o)[part];
        const least = leastBudget(bytes, part, o);
        expect(least).toBeLessThanOrEqual(mib * mebibyte);
        expect(divideBudget(least, o)[part]).toBeGreaterThanOrEqual(bytes);
        expect(divideBudget(least - mebibyte, o)[part]).toBeLessThan(bytes);
      }
    }),
  );
});

test('a service reads a table with little memory as a command does, in turns with its jobs', () => {
  const one = { streams: 0, tables: 1 };
  const [alone, service] = (['alone', 'service'] as const).map(reading =>
    divideBudget(128 * mebibyte, { ...one, reading }),
  );
  expect(service!.inTurns).toBe(true);
  expect(service!.table).toBe(alone!.table);
  expect(divideBudget(512 * mebibyte, { ...one, reading: 'service' }).inTurns).toBe(false);
});
