import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Rows } from '#src/matrix/rows.js';
import { ruleOptions } from '#src/publish/rule-options.js';
import { applyRules, rulesOf } from '#src/publish/rules.js';

const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
const attributes = {
  items: ['a', 'b', 'c', 'd', 'x'],
  columns: {
    gone: [true, false, null, false, true],
    brand: ['p', 'p', 'p', 'q', 'q'],
    ours: [true, true, false, null, true],
  },
};
const rules = (options: object, popular?: Int32Array) =>
  rulesOf(ruleOptions.parse(options), keys, attributes, popular);

const rows: Rows = {
  n: keys.length,
  users: Int32Array.of(0),
  indptr: Int32Array.of(0, 1),
  indices: Int32Array.of(4),
  values: undefined,
};
const scored = {
  k: 5,
  lengths: Int32Array.of(5),
  items: Int32Array.of(0, 1, 2, 3, 5),
  scores: Float32Array.of(5, 4, 3, 2, 1),
};

describe('rulesOf', () => {
  it('denies what is marked, allows only what is marked', () => {
    expect(rules({}).allowed).toBeUndefined();
    expect([...rules({ attributes: { query: 'q' }, deny: 'gone' }).allowed!]).toEqual([0, 1, 1, 1, 1, 1]);
    expect([...rules({ attributes: { query: 'q' }, allow: 'ours' }).allowed!]).toEqual([1, 1, 0, 0, 0, 0]);
    expect([...rules({ allow: 'ours', deny: 'gone' }).allowed!]).toEqual([0, 1, 0, 0, 0, 0]);
  });

  it.each<[string, unknown, unknown]>([
    ['TINYINT', 1, 0],
    ['BIGINT', 1n, 0n],
    ['CHAR', 'Y', 'N'],
    ['words', ' Yes ', 'off'],
    ['text', 'TRUE', 'false'],
    ['BIT', '1', '0'],
    ['BLOB', Uint8Array.of(1), Uint8Array.of(0)],
    ['DECIMAL', '1.0', '0.0'],
    ['JSON', '"true"', 'null'],
    ['NULL', true, null],
  ])('reads truth values: %s', (_, is, isNot) => {
    const given = { items: ['a', 'b'], columns: { gone: [is, isNot] } };
    const { allowed } = rulesOf(ruleOptions.parse({ deny: 'gone' }), keys, given, undefined);
    expect([...allowed!]).toEqual([0, 1, 1, 1, 1, 1]);
  });

  it('refuses what is no truth value, and says what has no effect', () => {
    const given = (items: string[], gone: unknown) => ({ items, columns: { gone: items.map(() => gone) } });
    const said: string[] = [];
    const deny = (attributes: ReturnType<typeof given>) =>
      rulesOf(ruleOptions.parse({ deny: 'gone' }), keys, attributes, undefined, text => said.push(text));
    expect(() => deny(given(['b'], 'maybe'))).toThrow(
      /deny: gone: expected truth values .*"maybe" of item "b"/,
    );
    deny(given(['A', 'B'], true));
    expect(said).toEqual([
      expect.stringMatching(/none of the 2 items .* has "a", the query "A"/),
      expect.stringMatching(/gone is true of no item/),
    ]);
  });

  it('refuses an attribute that the query does not give', () => {
    expect(() => rules({ deny: 'sold' })).toThrow(
      /publish\.rules\.deny: .*found "sold" and gone, brand, ours/,
    );
  });
});

describe('applyRules', () => {
  it('caps the items of one value, and leaves items without a value alone', () => {
    const capped = applyRules(rules({ cap: { attribute: 'brand', most: 2 } }), scored, rows, 'users', 3);
    expect([...capped.items]).toEqual([0, 1, 3]);
    expect([...capped.scores]).toEqual([5, 4, 2]);
    expect([...capped.lengths]).toEqual([3]);
  });

  it('drops what scores too little, and fills up with popular items that may be there', () => {
    const options = { minimumScore: 3.5, fallback: true, deny: 'gone' };
    const filled = applyRules(rules(options, Int32Array.of(4, 0, 1, 5, 3)), scored, rows, 'users', 4);
    // 4 is the user's own, 0 is in the list already (and denied), 1 is in the list.
    expect([...filled.items.subarray(0, filled.lengths[0])]).toEqual([0, 1, 5, 3]);
    expect([...filled.fallbacks!]).toEqual([2]);
    const items = applyRules(rules(options, Int32Array.of(5)), scored, rows, 'items', 4);
    expect([...items.lengths]).toEqual([2]);
  });

  it('keeps order, cap, minimum and length for any list', () => {
    const entry = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 9 }));
    const lists = fc.uniqueArray(entry, { selector: ([item]) => item });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 3 }), (list, k, most) => {
        const sorted = list.sort((x, y) => y[1] - x[1]);
        const given = {
          k: 6,
          lengths: Int32Array.of(sorted.length),
          items: Int32Array.from({ length: 6 }, (_, e) => sorted[e]?.[0] ?? 0),
          scores: Float32Array.from({ length: 6 }, (_, e) => sorted[e]?.[1] ?? 0),
        };
        const options = { cap: { attribute: 'brand', most }, minimumScore: 4 };
        const { items, lengths } = applyRules(rules(options), given, rows, 'users', k);
        const expected: number[] = [];
        for (const [item, score] of sorted) {
          const brand = attributes.columns.brand[attributes.items.indexOf(keys[item]!)];
          const same = expected.filter(
            i => brand && attributes.columns.brand[attributes.items.indexOf(keys[i]!)] === brand,
          );
          if (score >= 4 && same.length < most && expected.length < k) expected.push(item);
        }
        expect([...items.subarray(0, lengths[0])]).toEqual(expected);
      }),
    );
  });
});
