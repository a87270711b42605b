/**
 * Records become events or dead letters:
 * - each rejection has its code, a reason that names the field and what was found, and never a crash;
 * - whatever the fields hold, every record becomes exactly one of the two, in order.
 */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { RecordBatch } from '#src/contracts/index.js';
import { maxFixedPoint } from '#src/stages/event-weight.js';
import { decodeEvents } from '#src/stages/events.js';
import { maxIdBytes } from '#src/stages/identifier.js';

type Fields = { readonly [F in 'user' | 'item' | 'weight' | 'op' | 'ts' | 'id']?: unknown };

function batchOf(records: readonly Fields[], first = 0): RecordBatch {
  const column = (field: keyof Fields) => records.map(r => r[field]);
  return {
    length: records.length,
    partition: 'p',
    sequence: records.map((_, k) => first + k),
    user: column('user'),
    item: column('item'),
    weight: column('weight'),
    op: column('op'),
    ts: column('ts'),
    id: column('id'),
    raw: k => `record ${k}`,
  };
}

/** One event, or the one dead letter, of a record. */
function decode(fields: Fields, scale = 100) {
  const { events, dead } = decodeEvents(batchOf([{ user: 'u', item: 'i', ...fields }], 7), scale);
  if (dead.length > 0) return { code: dead[0]!.code, reason: dead[0]!.reason };
  return {
    user: events.user[0],
    item: events.item[0],
    weight: events.weight[0],
    op: events.op[0],
    ts: events.ts[0],
    id: events.id[0],
  };
}

const hostile = {
  toString: () => {
    throw new Error('called');
  },
  valueOf: 1,
};
const megabyte = 'é'.repeat(512 * 1024);

describe('rejections', () => {
  const cases: [string, Fields, string, RegExp][] = [
    ['no user', { user: undefined }, 'user-missing', /user is missing/],
    ['null user', { user: null }, 'user-missing', /user/],
    ['empty user', { user: '' }, 'user-missing', /user/],
    ['empty item', { item: '' }, 'item-missing', /item/],
    ['empty id', { id: '' }, 'id-missing', /id/],
    ['boolean user', { user: true }, 'user-type', /expected a string or an integer, found boolean true/],
    ['fractional user', { user: 1.5 }, 'user-type', /found number 1.5/],
    ['NaN user', { user: Number.NaN }, 'user-type', /found number NaN/],
    ['user beyond 2^53', { user: 2 ** 60 }, 'user-type', /found number/],
    ['object user', { user: {} }, 'user-type', /found an object/],
    ['array item', { item: ['a'] }, 'item-type', /found an array/],
    ['object without a prototype', { user: Object.create(null) }, 'user-type', /found an object/],
    ['object with its own toString', { item: hostile }, 'item-type', /found an object/],
    ['symbol id', { id: Symbol('s') }, 'id-type', /found symbol/],
    ['1 MB user', { user: megabyte }, 'user-too-long', /at most 1024 bytes, found 1048576 bytes/],
    ['1 MB item', { item: megabyte }, 'item-too-long', /1048576/],
    ['1 MB id', { id: megabyte }, 'id-too-long', /1048576/],
    ['multi-byte user of 1026 bytes', { user: 'é'.repeat(513) }, 'user-too-long', /1026/],
    ['lone high surrogate', { user: 'a\ud800' }, 'user-malformed', /not well-formed/],
    ['lone low surrogate', { item: '\udc00a' }, 'item-malformed', /not well-formed/],
    ['replacement character', { item: 'caf\ufffd' }, 'item-malformed', /not well-formed/],
    ['NUL', { user: 'a\0b' }, 'user-malformed', /not well-formed/],
    ['NUL in id', { id: '\0' }, 'id-malformed', /not well-formed/],
    ['NaN weight', { weight: Number.NaN }, 'weight-type', /finite number, found number NaN/],
    ['infinite weight', { weight: Number.POSITIVE_INFINITY }, 'weight-type', /Infinity/],
    ['huge bigint weight', { weight: 10n ** 400n }, 'weight-type', /^.{1,120}$/],
    ['word weight', { weight: 'many' }, 'weight-type', /found "many"/],
    ['hexadecimal weight', { weight: '0x10' }, 'weight-type', /found "0x10"/],
    ['"NaN" weight', { weight: 'NaN' }, 'weight-type', /found "NaN"/],
    ['empty weight', { weight: '' }, 'weight-type', /found ""/],
    ['1 MB weight', { weight: '1'.repeat(1 << 20) }, 'weight-type', /^.{1,120}$/],
    ['boolean weight', { weight: true }, 'weight-type', /found boolean true/],
    ['array weight', { weight: [1] }, 'weight-type', /found an array/],
    ['negative weight', { weight: -0.5 }, 'weight-negative', /≥ 0, found -0.5/],
    ['negative weight as text', { weight: '-1' }, 'weight-negative', /found -1/],
    ['weight above the limit', { weight: 5242.89 }, 'weight-too-large', /at most 5242.88, found 5242.89/],
    ['1e308', { weight: 1e308 }, 'weight-too-large', /found 1e\+308/],
    ['weight below half a unit', { weight: 0.0049 }, 'weight-too-small', /0 or at least 0.005, found 0.0049/],
    ['unknown op', { op: 'delete' }, 'op-unknown', /add, remove, set or alias, found "delete"/],
    ['upper-case op', { op: 'ADD' }, 'op-unknown', /found "ADD"/],
    ['number op', { op: 1 }, 'op-unknown', /found number 1/],
    ['hostile op', { op: hostile }, 'op-unknown', /found an object/],
    [
      'word ts',
      { ts: 'yesterday' },
      'ts-invalid',
      /epoch milliseconds, a date or ISO 8601, found "yesterday"/,
    ],
    ['words with a number', { ts: 'foo 1' }, 'ts-invalid', /foo 1/],
    ['31 April', { ts: '2024-04-31' }, 'ts-invalid', /2024-04-31/],
    ['month 13', { ts: '2024-13-01T00:00:00Z' }, 'ts-invalid', /2024-13/],
    ['infinite ts', { ts: Number.POSITIVE_INFINITY }, 'ts-invalid', /Infinity/],
    ['ts beyond dates', { ts: 8.65e15 }, 'ts-invalid', /8650000000000000/],
    ['invalid Date', { ts: new Date('x') }, 'ts-invalid', /an invalid date/],
    ['hostile ts', { ts: hostile }, 'ts-invalid', /an object/],
    ['boolean ts', { ts: false }, 'ts-invalid', /boolean false/],
  ];
  it.each(cases)('%s', (_, fields, code, reason) => {
    expect(decode(fields)).toEqual({ code, reason: expect.stringMatching(reason) });
  });

  it('keeps the position, the user and the record, at most 64 Ki characters of it', () => {
    const batch = { ...batchOf([{ user: 'u', item: '' }], 41), raw: () => 'x'.repeat(1 << 20) };
    const [letter] = decodeEvents(batch, 1).dead;
    expect(letter).toMatchObject({ partition: 'p', sequence: 41, user: 'u', code: 'item-missing' });
    expect(letter!.raw).toHaveLength(64 * 1024);
  });
});

describe('events', () => {
  const day = Date.UTC(2024, 1, 29);
  const time = day + 10 * 3_600_000;
  it.each<[string, Fields, object]>([
    ['defaults', {}, { user: 'u', item: 'i', weight: 100, op: 0, ts: 0, id: null }],
    ['integers as ids', { user: 7, item: -3, id: 0 }, { user: '7', item: '-3', id: '0' }],
    ['big integers as ids', { user: 2n ** 100n }, { user: String(2n ** 100n) }],
    ['ids of the longest length', { user: 'é'.repeat(maxIdBytes / 2) }, { user: 'é'.repeat(maxIdBytes / 2) }],
    ['paired surrogates', { user: '😀' }, { user: '😀' }],
    ['spaces and quotes', { item: ` '"\\\n` }, { item: ` '"\\\n` }],
    ['weight 0', { weight: 0 }, { weight: 0 }],
    ['rounding', { weight: 0.005 }, { weight: 1 }],
    ['the largest weight', { weight: maxFixedPoint / 100 }, { weight: maxFixedPoint }],
    ['big integer weight', { weight: 3n }, { weight: 300 }],
    ['weight as text', { weight: ' 2.50 ' }, { weight: 250 }],
    ['weight as text with an exponent', { weight: '1e1' }, { weight: 1000 }],
    ['set', { op: 'set' }, { op: 2 }],
    ['remove', { op: 'remove' }, { op: 1 }],
    ['fractions of a millisecond', { ts: 12.9 }, { ts: 12 }],
    ['before 1970', { ts: -12.9 }, { ts: -12 }],
    ['epoch as text', { ts: '1700000000000' }, { ts: 1_700_000_000_000 }],
    ['epoch as bigint', { ts: 5n }, { ts: 5 }],
    ['Date', { ts: new Date(day) }, { ts: day }],
    ['ISO day', { ts: '2024-02-29' }, { ts: day }],
    ['ISO minute is UTC without an offset', { ts: '2024-02-29 10:00' }, { ts: time }],
    ['ISO microseconds', { ts: '2024-02-29T10:00:00.123456Z' }, { ts: time + 123 }],
    ['ISO offsets', { ts: '2024-02-29T12:00:00+02' }, { ts: time }],
    ['ISO offsets with minutes', { ts: '2024-02-29T15:30:00.000+0530' }, { ts: time }],
  ])('%s', (_, fields, expected) => {
    expect(decode(fields)).toMatchObject(expected);
  });

  it('reads times without an offset as UTC in any zone', () => {
    const zone = process.env.TZ;
    try {
      process.env.TZ = 'Asia/Kolkata';
      expect(decode({ ts: '2024-02-29T10:00:00' })).toMatchObject({ ts: time });
    } finally {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    }
  });

  it('scales weights to integers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 65536 }),
        fc.double({ min: 0, max: 1e7, noNaN: true }),
        (scale, weight) => {
          const found = decode({ weight }, scale);
          const units = Math.round(weight * scale);
          if (units > maxFixedPoint) expect(found).toMatchObject({ code: 'weight-too-large' });
          else if (units === 0 && weight > 0) expect(found).toMatchObject({ code: 'weight-too-small' });
          else expect(found).toMatchObject({ weight: units });
        },
      ),
    );
  });
});

const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, withTypedArray: true }),
  fc.constantFrom(undefined, null, '', 'a', 'b\0', '\ud800', 1, 0, -1, 1e308, Number.NaN, 'add', hostile),
);
const ok = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 4, arbitrary: value as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: anything });

test('every record becomes exactly one event or one dead letter, in order', () => {
  const record = fc.record({
    user: ok(fc.string({ minLength: 1 })),
    item: ok(fc.integer()),
    weight: ok(fc.double({ min: 0, max: 100 })),
    op: ok(fc.constantFrom('add', 'remove', 'set')),
    ts: ok(fc.integer()),
    id: ok(fc.constant(null)),
  });
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), fc.nat(2 ** 40), (records, first) => {
      const { events, dead } = decodeEvents(batchOf(records, first), 100);
      for (const list of [events.user, events.item, events.id]) expect(list).toHaveLength(events.length);
      const taken = [...events.sequence.slice(0, events.length)];
      const rejected = dead.map(d => d.sequence);
      for (const list of [taken, rejected]) expect(list).toEqual([...list].sort((a, b) => a - b));
      expect([...taken, ...rejected].sort((a, b) => a - b)).toEqual(records.map((_, k) => first + k));
      for (let k = 0; k < events.length; k++) {
        const source = records[events.sequence[k]! - first]!;
        expect(events.user[k]).toBe(String(source.user));
        expect(events.item[k]).toBe(String(source.item));
        expect(events.weight[k]).toBeGreaterThanOrEqual(0);
        expect(Number.isSafeInteger(events.ts[k])).toBe(true);
      }
      for (const letter of dead) {
        expect(letter.raw).toBe(`record ${letter.sequence - first}`);
        expect(letter.reason.length).toBeLessThan(200);
      }
    }),
    { numRuns: 300 },
  );
});
