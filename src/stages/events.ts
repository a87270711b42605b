import type { DeadLetter, EventColumns, RecordBatch, Rejection } from '../contracts/index.js';

/** Longest user, item or event id, in UTF-8 bytes. */
export const maxIdBytes = 1024;
/** Largest fixed-point value of an interaction: products stay below 2⁴⁰, so 2¹³ of them fit exactly in 2⁵³. */
export const maxFixedPoint = 2 ** 20;
/** How much of a rejected record is kept with its dead letter, in characters. */
const maxRawLength = 64 * 1024;

/** Operation codes as stored: add, remove, set. */
export const operations = ['add', 'remove', 'set'] as const;
/** What an event does to its (user, item) pair. */
export type Operation = (typeof operations)[number];

const isRejection = (x: unknown): x is Rejection => typeof x === 'object' && x !== null && 'code' in x;
const absent = (x: unknown): x is null | undefined => x === null || x === undefined;
const short = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}…` : text);

/** A value in a message: short, and without calling code of the value (a record may carry its own `toString`). */
function describe(x: unknown): string {
  if (typeof x === 'string') return JSON.stringify(short(x));
  if (Array.isArray(x)) return 'an array';
  if (x instanceof Date) return 'an invalid date';
  return typeof x === 'object' ? 'an object' : short(`${typeof x} ${String(x)}`);
}

/** Text that is a decimal number and nothing else, as a CSV column of mixed content or a JSON string holds it. */
const decimal = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
/** Numbers, big integers and decimal text as a number; `undefined` for anything else. */
function numeric(x: unknown): number | undefined {
  if (typeof x === 'bigint') return Number(x);
  if (typeof x === 'string') return x.length < 400 && decimal.test(x) ? Number(x) : undefined;
  return typeof x === 'number' ? x : undefined;
}

/** What text that is not well-formed has: NUL, the replacement character, or (perhaps one of a pair) a surrogate. */
const suspicious = /[\0\ufffd\ud800-\udfff]/;

function identifier(x: unknown, field: string): string | Rejection {
  if (typeof x === 'number' ? Number.isSafeInteger(x) : typeof x === 'bigint') return String(x);
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

function fixedPoint(x: unknown, scale: number): number | Rejection {
  if (absent(x)) return scale;
  const w = numeric(x);
  if (w === undefined || !Number.isFinite(w)) {
    return { code: 'weight-type', reason: `weight: expected a finite number, found ${describe(x)}` };
  }
  if (w < 0) return { code: 'weight-negative', reason: `weight: expected a number ≥ 0, found ${w}` };
  const q = Math.round(w * scale);
  if (q > maxFixedPoint) {
    return {
      code: 'weight-too-large',
      reason: `weight: expected at most ${maxFixedPoint / scale}, found ${w}`,
    };
  }
  if (q === 0 && w > 0) {
    return { code: 'weight-too-small', reason: `weight: expected 0 or at least ${0.5 / scale}, found ${w}` };
  }
  return q;
}

function operation(x: unknown): number | Rejection {
  if (absent(x)) return 0;
  const code = operations.indexOf(x as Operation);
  return code >= 0
    ? code
    : { code: 'op-unknown', reason: `op: expected add, remove or set, found ${describe(x)}` };
}

/** ISO 8601 date, or date and time; what `Date.parse` takes beyond it ("foo 1" is 2001) is no time. */
const iso = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?)?$/i;

/** Epoch ms of ISO 8601 text; a time without an offset is UTC, whatever the zone of this process. */
function parseTime(text: string): number {
  const [, date, time, fraction = '0', offset = 'Z'] = iso.exec(text.trim()) ?? [];
  const day = Date.parse(`${date}T00:00:00Z`);
  // 31 April is not 1 May
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return Number.NaN;
  if (time === undefined) return day;
  const zone =
    offset.toUpperCase() === 'Z' ? 'Z' : `${offset.slice(0, 3)}:${offset.slice(3).replace(':', '') || '00'}`;
  return Date.parse(
    `${date}T${time.length === 5 ? `${time}:00` : time}.${fraction.padEnd(3, '0').slice(0, 3)}${zone}`,
  );
}

function eventTime(x: unknown): number | Rejection {
  if (absent(x)) return 0;
  const t =
    numeric(x) ?? (x instanceof Date ? x.getTime() : typeof x === 'string' ? parseTime(x) : Number.NaN);
  if (Math.abs(t) <= 8.64e15) return Math.trunc(t);
  return {
    code: 'ts-invalid',
    reason: `ts: expected epoch milliseconds, a date or ISO 8601, found ${describe(x)}`,
  };
}

/**
 * Validates the records of a batch: each becomes an event with a fixed-point weight `round(weight × scale)`,
 * or a dead letter with its position, an error code and the original record.
 */
export function decodeEvents(
  batch: RecordBatch,
  scale: number,
): { readonly events: EventColumns; readonly dead: readonly DeadLetter[] } {
  const size = batch.length;
  const users: string[] = [];
  const items: string[] = [];
  const id: (string | null)[] = [];
  const weight = new Int32Array(size);
  const op = new Uint8Array(size);
  const ts = new Float64Array(size);
  const sequence = new Float64Array(size);
  const dead: DeadLetter[] = [];
  const rejected = batch.rejected?.size ? batch.rejected : undefined;
  let length = 0;
  for (let k = 0; k < size; k++) {
    const u = identifier(batch.user[k], 'user');
    const i = identifier(batch.item[k], 'item');
    const w = fixedPoint(batch.weight?.[k], scale);
    const o = operation(batch.op?.[k]);
    const t = eventTime(batch.ts?.[k]);
    const eventId = absent(batch.id?.[k]) ? null : identifier(batch.id[k], 'id');
    const known = rejected?.get(k);
    if (
      known ||
      typeof u !== 'string' ||
      typeof i !== 'string' ||
      typeof w !== 'number' ||
      typeof o !== 'number' ||
      typeof t !== 'number' ||
      isRejection(eventId)
    ) {
      const { code, reason } = known ?? [u, i, w, o, t, eventId].find(isRejection)!;
      const raw = batch.raw(k).slice(0, maxRawLength);
      const user = typeof u === 'string' ? u : undefined;
      dead.push({ partition: batch.partition, sequence: batch.sequence[k]!, code, reason, user, raw });
      continue;
    }
    users.push(u);
    items.push(i);
    id.push(eventId);
    weight[length] = w;
    op[length] = o;
    ts[length] = t;
    sequence[length++] = batch.sequence[k]!;
  }
  return { events: { length, user: users, item: items, weight, op, ts, id, sequence }, dead };
}
