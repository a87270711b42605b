import type { Rejection } from '../contracts/index.js';

/** Longest user, item or event id, in UTF-8 bytes. */
export const maxIdBytes = 1024;

export const isRejection = (x: unknown): x is Rejection => typeof x === 'object' && x !== null && 'code' in x;
export const absent = (x: unknown): x is null | undefined => x === null || x === undefined;
const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** A value in a message: short, and without calling code of the value (a record may carry its own `toString`). */
export function describe(x: unknown): string {
  if (typeof x === 'string') return JSON.stringify(short(x));
  if (Array.isArray(x)) return 'an array';
  if (x instanceof Date) return Number.isNaN(x.getTime()) ? 'an invalid date' : 'a date';
  return typeof x === 'object' ? 'an object' : short(`${typeof x} ${String(x)}`);
}

/** What text that is not well-formed has: NUL, the replacement character, or (perhaps one of a pair) a surrogate. */
const suspicious = /[\0\ufffd\ud800-\udfff]/;
const byteOrderMark = 0xfeff;

/**
 * The one text of an id, the same from every source: 7, 7.0 and "7" are "7". Byte order marks before a text are no
 * part of it. Fractions, numbers beyond 2⁵³ that lost digits, truth values and nested values are no ids.
 */
export function identifier(given: unknown, field: string): string | Rejection {
  let x = given;
  if (typeof x === 'number' ? Number.isSafeInteger(x) : typeof x === 'bigint') return String(x);
  if (typeof x === 'string' && x.charCodeAt(0) === byteOrderMark) x = x.replace(/^\ufeff+/, '');
  if (absent(x) || x === '') return { code: `${field}-missing`, reason: `${field} is missing` };
  if (typeof x !== 'string') {
    return {
      code: `${field}-type`,
      reason: `${field}: expected a string or an integer, found ${describe(x)}`,
    };
  }
  if (x.length > maxIdBytes / 3 && Buffer.byteLength(x) > maxIdBytes) {
    const found = `${Buffer.byteLength(x)} bytes`;
    return {
      code: `${field}-too-long`,
      reason: `${field}: expected at most ${maxIdBytes} bytes, found ${found}`,
    };
  }
  if (suspicious.test(x) && (x.includes('\0') || x.includes('\ufffd') || !x.isWellFormed())) {
    return { code: `${field}-malformed`, reason: `${field}: not well-formed text, found ${describe(x)}` };
  }
  return x;
}
