import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ListFormat } from '#src/contracts/index.js';
import { decodeList } from '#src/publish/decode.js';
import { encodeRanked, hashRange, storedValue } from '#src/publish/encode.js';

const formats: ListFormat[] = [
  { encoding: 'json', stamped: false },
  { encoding: 'json', stamped: true },
  { encoding: 'msgpack', stamped: false },
  { encoding: 'msgpack', stamped: true },
];
const list = fc.record({
  id: fc.string(),
  items: fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 300 }), { maxLength: 20 }),
  fallback: fc.integer({ min: 0, max: 3 }),
});
const score = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e30, max: 1e30 });

/** What JSON says of a score. */
const digits = (value: number): string => {
  const list = { id: 'x', items: ['a'], scores: [value] };
  const text = storedValue(encodeRanked([list], { encoding: 'json', stamped: false }, 'v'), 0).toString();
  return /"scores":\[(.*)\]/.exec(text)![1]!;
};

describe('scores in JSON', () => {
  it('have six significant digits', () => {
    expect([0, -0, 1, -1, 0.25, 123456, 0.1, 1e-6, 999999.5, 12.3456789].map(digits)).toEqual([
      ...['0', '0', '1', '-1', '0.25', '123456', '0.1', '0.000001', '1000000', '12.3457'],
    ]);
    expect([1.5e-7, -2.34567891e30, 9.9999999e-10, 1e6, 999999.6].map(digits)).toEqual([
      ...['1.5e-7', '-2.34568e30', '1e-9', '1e6', '1e6'],
    ]);
  });

  it('say the same as toPrecision for any float', () => {
    const exponents = fc.tuple(fc.integer({ min: -999999, max: 999999 }), fc.integer({ min: -12, max: 12 }));
    fc.assert(
      fc.property(
        fc.oneof(
          score,
          exponents.map(([m, e]) => m * 10 ** e),
        ),
        x => {
          const float = Math.fround(x);
          const written = digits(x);
          // Half-way cases may go either way.
          expect(Math.abs(JSON.parse(written) - float)).toBeLessThanOrEqual(Math.abs(float) * 5.0001e-6);
          const significant = written.replace(/e.*|[-.]/g, '').replace(/^0+/, '');
          expect(significant.length).toBeLessThanOrEqual(6);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe.each(formats)('values as $encoding, stamped: $stamped', format => {
  it('come back as they went in', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(list, fc.array(score, { minLength: 20, maxLength: 20 }))), given => {
        const lists = given.map(([l, s]) => {
          const items = l.items.map(item => item.toWellFormed());
          return { ...l, items, scores: s.slice(0, items.length) };
        });
        const encoded = encodeRanked(lists, format, 'v1');
        expect(encoded.ids).toEqual(lists.map(l => l.id));
        lists.forEach((l, r) => {
          const decoded = decodeList(storedValue(encoded, r), format.encoding);
          expect(decoded.items).toEqual(l.items);
          expect(decoded.fallback ?? 0).toBe(l.fallback);
          decoded.scores.forEach((x, e) => {
            expect(Math.abs(x - l.scores[e]!)).toBeLessThanOrEqual(Math.abs(l.scores[e]!) * 1e-5 + 1e-38);
          });
          expect(decoded.version).toBe(format.stamped ? 'v1' : undefined);
        });
      }),
      { numRuns: 200 },
    );
  });

  it('have a hash of their content alone where it is looked for', () => {
    if (!format.stamped) return;
    const at = (version: string, items: string[], scores: number[]) => {
      const value = storedValue(encodeRanked([{ id: 'x', items, scores }], format, version), 0);
      const [from, to] = hashRange(format);
      expect(value.toString('latin1', from, to)).toBe(decodeList(value, format.encoding).hash);
      return value.toString('latin1', from, to);
    };
    const hash = at('v1', ['a', 'b'], [2, 1]);
    expect(at('another', ['a', 'b'], [2, 1])).toBe(hash);
    expect(at('v1', ['b', 'a'], [2, 1])).not.toBe(hash);
    expect(at('v1', ['a', 'b'], [2, 1.5])).not.toBe(hash);
    expect(at('v1', ['ab'], [2])).not.toBe(hash);
  });
});

it('refuses scores that no reader could read', () => {
  for (const encoding of ['json', 'msgpack'] as const)
    expect(() =>
      encodeRanked([{ id: 'x', items: ['a'], scores: [Number.NaN] }], { encoding, stamped: false }, 'v'),
    ).toThrow(/finite/);
});
