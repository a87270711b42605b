/** JSON keeps every digit of whole numbers, and is otherwise what JSON.parse reads. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { identifier } from '#src/stages/identifier.js';
import { parseExactJson } from '#src/stages/number.js';

it.each<[string, unknown]>([
  ['{"a":1795292668348461057}', { a: 1795292668348461057n }],
  ['[-9223372036854775808,18446744073709551615]', [-9223372036854775808n, 18446744073709551615n]],
  ['{"a":1795292668348461057.0}', { a: 1795292668348461057n }],
  ['{"a":1.795292668348461057E18}', { a: 1795292668348461057n }],
  ['{"a":1e20}', { a: 10n ** 20n }],
  [
    '{"a":"1795292668348461057","b":"x\\"9007199254740993"}',
    { a: '1795292668348461057', b: 'x"9007199254740993' },
  ],
  ['{"a":9007199254740991,"b":0.30000000000000004}', { a: 9007199254740991, b: 0.30000000000000004 }],
])('%s', (text, expected) => {
  expect(parseExactJson(text)).toEqual(expected);
});

it('reads anything else as JSON.parse does, mistakes too', () => {
  fc.assert(
    fc.property(fc.json(), text => {
      const asNumber = (_: string, x: unknown) => (typeof x === 'bigint' ? Number(x) : x);
      expect(JSON.stringify(parseExactJson(text), asNumber)).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
  const broken = '{"a":1795292668348461057,';
  const message = (parse: (text: string) => unknown) => {
    try {
      return parse(broken);
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(message(parseExactJson)).toBe(message(JSON.parse));
});

it('one text for an id, whatever it was', () => {
  for (const x of [7, 7n, '7', 7.0, '\ufeff7', '\ufeff\ufeff7']) expect(identifier(x, 'user')).toBe('7');
  expect(identifier('\ufeff', 'user')).toMatchObject({ code: 'user-missing' });
  expect(identifier(-0, 'user')).toBe('0');
});
