/** A number in ts is read in the one unit in which it is plausible, or in the configured one; the rest is refused. */
import { describe, expect, it } from 'vitest';
import { eventTime } from '#src/stages/event-time.js';

const at = Date.UTC(2026, 4, 1, 10);
const now = at + 86_400_000;
const read = (
  x: unknown,
  unit: Parameters<typeof eventTime>[1] & object = { unit: 'auto', maxAheadMs: 1000 },
) => eventTime(x, unit, now);

describe('units told by size', () => {
  it.each<[string, unknown, number]>([
    ['milliseconds', at, at],
    ['seconds', at / 1000, at],
    ['seconds with a fraction, as text', `${at / 1000}.5`, at + 500],
    ['a thousandth of a second', at / 1000 + 0.001, at + 1],
    ['microseconds', at * 1000, at],
    ['microseconds with a rest', at * 1000 + 999, at],
    ['nanoseconds', BigInt(at) * 1_000_000n, at],
    ['nanoseconds as text', String(BigInt(at) * 1_000_000n), at],
    ['YYYYMMDD', 20260501, Date.UTC(2026, 4, 1)],
    ['YYYYMMDD as text', '20260501', Date.UTC(2026, 4, 1)],
    ['YYYYMMDDhhmmss', 20260501100000, at],
    ['a counter', 42, 42],
  ])('%s', (_, x, expected) => {
    expect(read(x)).toBe(expected);
  });

  it.each<[string, unknown]>([
    ['days since 1970', 20574],
    ['a date that is none', 20260431],
    ['milliseconds of 1975', 157766400000],
    ['between seconds and milliseconds', 10_000_000_000],
    ['minutes since 1970', 29_627_040],
    ['infinity', Number.POSITIVE_INFINITY],
  ])('%s are refused', (_, x) => {
    expect(read(x)).toMatchObject({ code: 'ts-invalid' });
  });
});

it('a configured unit holds for any size', () => {
  const in_ = (unit: 'days' | 's' | 'ms' | 'us' | 'ns' | 'counter') => ({ unit, maxAheadMs: 1000 });
  expect(read(20574, in_('days'))).toBe(20574 * 86_400_000);
  expect(read(157766400, in_('s'))).toBe(157766400000);
  expect(read(157766400000, in_('ms'))).toBe(157766400000);
  expect(read(5_000_000, in_('us'))).toBe(5000);
  expect(read(5_000_000, in_('ns'))).toBe(5);
  expect(read(1e14, in_('counter'))).toBe(1e14);
  expect(read(new Date(at), in_('s'))).toBe(at);
  expect(read('2026-05-01T10:00Z', in_('s'))).toBe(at);
});

it('what lies further ahead of the clock than allowed is refused, whatever the unit', () => {
  expect(read(now + 1000)).toBe(now + 1000);
  for (const x of [now + 1001, Date.UTC(2099, 0) / 1000, '2099-01-01', new Date(now + 5000)])
    expect(read(x)).toMatchObject({ code: 'ts-ahead', reason: expect.stringMatching(/maxAheadMs/) });
});
