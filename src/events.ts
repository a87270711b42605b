import type { DeadLetter, EventColumns, RecordBatch } from './connector.js';

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

/** Why a record is no event: a code for machines and a sentence for people. */
interface Rejection {
  readonly code: string;
  readonly reason: string;
}

const isRejection = (x: unknown): x is Rejection => typeof x === 'object' && x !== null && 'code' in x;
const absent = (x: unknown): x is null | undefined => x === null || x === undefined;
const describe = (x: unknown): string =>
  typeof x === 'string'
    ? JSON.stringify(x.length > 40 ? `${x.slice(0, 40)}…` : x)
    : `${typeof x} ${String(x)}`;

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
  if (x.includes('\0') || x.includes('\ufffd') || !x.isWellFormed()) {
    return { code: `${field}-malformed`, reason: `${field}: not well-formed text, found ${describe(x)}` };
  }
  return x;
}

function fixedPoint(x: unknown, scale: number): number | Rejection {
  if (absent(x)) return scale;
  const w = typeof x === 'bigint' ? Number(x) : x;
  if (typeof w !== 'number' || !Number.isFinite(w)) {
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

function eventTime(x: unknown): number | Rejection {
  if (absent(x)) return 0;
  const t =
    typeof x === 'number'
      ? x
      : typeof x === 'bigint'
        ? Number(x)
        : x instanceof Date
          ? x.getTime()
          : Date.parse(String(x));
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
  let length = 0;
  for (let k = 0; k < size; k++) {
    const u = identifier(batch.user[k], 'user');
    const i = identifier(batch.item[k], 'item');
    const w = fixedPoint(batch.weight?.[k], scale);
    const o = operation(batch.op?.[k]);
    const t = eventTime(batch.ts?.[k]);
    const eventId = absent(batch.id?.[k]) ? null : identifier(batch.id[k], 'id');
    const bad = [u, i, w, o, t, eventId].find(isRejection);
    if (bad) {
      const raw = batch.raw(k).slice(0, maxRawLength);
      const user = typeof u === 'string' ? u : undefined;
      dead.push({ partition: batch.partition, sequence: batch.sequence[k]!, ...bad, user, raw });
      continue;
    }
    users.push(u as string);
    items.push(i as string);
    id.push(eventId as string | null);
    weight[length] = w as number;
    op[length] = o as number;
    ts[length] = t as number;
    sequence[length++] = batch.sequence[k]!;
  }
  return { events: { length, user: users, item: items, weight, op, ts, id, sequence }, dead };
}
