import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assertSteps, divideBudget, leastBudget, type Occupants } from '#jobs/budget.js';

const mebibyte = 2 ** 20;
const occupants = fc.record({
  streams: fc.nat(3),
  tables: fc.nat(3),
  sinks: fc.nat(3),
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
      const { state, stream, table, step, work, inTurns } = divideBudget(mib * mebibyte, o);
      const left = mib * mebibyte - state;
      expect(o.sinks * step + work).toBeLessThanOrEqual(left);
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
  const one = { streams: 0, tables: 1, sinks: 1 };
  const [alone, service] = (['alone', 'service'] as const).map(reading =>
    divideBudget(128 * mebibyte, { ...one, reading }),
  );
  expect(service!.inTurns).toBe(true);
  expect(service!.table).toBe(alone!.table);
  expect(divideBudget(512 * mebibyte, { ...one, reading: 'service' }).inTurns).toBe(false);
});

test('sinks that are written to at the same time share the room, with what each DuckDB takes beside its limit', () => {
  const many = (sinks: number): Occupants => ({ streams: 0, tables: 1, sinks, reading: 'alone' });
  const [one, three] = [1, 3].map(sinks => divideBudget(512 * mebibyte, many(sinks)));
  expect(three!.work).toBeLessThan(one!.work);
  expect(3 * three!.step).toBeLessThanOrEqual(512 * mebibyte - three!.state - three!.work - 64 * mebibyte);
});

test('a budget that is too small for all sinks is refused by the one that is not', () => {
  const many: Occupants = { streams: 0, tables: 1, sinks: 4, reading: 'alone' };
  const check = (mib: number) => assertSteps(divideBudget(mib * mebibyte, many).step, many);
  let least = 0;
  try {
    check(128);
  } catch (error) {
    least = Number(/`memory: (\d+)MiB` would do/.exec((error as Error).message)?.[1]);
  }
  expect(least).toBeGreaterThan(128);
  expect(() => check(least)).not.toThrow();
  expect(() => check(least - 1)).toThrow('4 sinks');
});
