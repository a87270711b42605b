/** The reader of flat objects agrees with `JSON.parse` about every text that it does not leave to it. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FlatJson } from '#src/mapping/flat-json.js';

const names = ['user', 'item', 'weight', 'ts'];

/** What `JSON.parse` makes of the named fields. */
function parsed(text: string): unknown[] {
  const value = JSON.parse(text) as Record<string, unknown>;
  return names.map(name => value[name]);
}

it('reads what producers write', () => {
  const flat = new FlatJson(names);
  for (const text of [
    '{"user":"user-1","item":"sku-7","weight":1,"ts":1700000000000}',
    '{"ts": 0, "note": "x y", "item": 12, "user": ""}',
    '{ "user": "first" , "user": "last", "usex": "u", "i": 1 }',
  ]) {
    expect(flat.read(Buffer.from(text)), text).toBe(true);
    expect(flat.fields).toEqual(parsed(text));
  }
  // Other texts at the place of one that is remembered.
  for (let n = 0; n < 200_000; n++) {
    flat.read(Buffer.from(`{"user":"u${n}"}`));
    if (flat.fields[0] !== `u${n}`) expect(flat.fields[0]).toBe(`u${n}`);
  }
});

it('leaves everything else alone, or reads it as JSON.parse does', () => {
  const flat = new FlatJson(names);
  const scalar = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.string({ maxLength: 80 }),
    fc.nat(),
    fc.double(),
    fc.constantFrom(1e15, 999_999_999_999_999, -1, 0.5, null, true, [], {}),
  );
  const key = fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 6 }));
  const text = fc
    .array(fc.tuple(key, scalar), { maxLength: 6 })
    .map(pairs => `{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`);
  const piece = fc.constantFrom(
    '"',
    ',',
    ':',
    '{',
    '}',
    ' ',
    '\n',
    '\\',
    '0',
    '00',
    '1e3',
    '.',
    '-',
    'é',
    '\0',
  );
  const damaged = fc
    .tuple(text, fc.nat(), fc.nat(3), fc.oneof(piece, fc.constant('')))
    .map(([t, at, cut, put]) => t.slice(0, at % t.length) + put + t.slice((at % t.length) + cut));
  fc.assert(
    fc.property(fc.oneof(text, damaged), t => {
      if (flat.read(Buffer.from(t))) expect(flat.fields).toEqual(parsed(t));
    }),
    { numRuns: 20_000, seed: 7 },
  );
});
