import { z } from 'zod';
import type { Rejection, TimeRules } from '../contracts/index.js';
import { absent, describe } from './identifier.js';
import { numeric } from './number.js';

/** What numbers in `ts` count; `auto` tells by their size. */
export const timeUnits = ['auto', 'counter', 'days', 's', 'ms', 'us', 'ns'] as const;
export type TimeUnit = (typeof timeUnits)[number];

const dayMs = 86_400_000;

/** How a source reads event times. */
export const timeOptions = {
  timeUnit: z
    .enum(timeUnits)
    .default('auto')
    .describe(
      'what a number in ts counts since 1970; auto: seconds to nanoseconds from 1980 to 2100, and YYYYMMDD',
    ),
  maxAheadMs: z
    .int()
    .min(0)
    .default(dayMs)
    .describe('events dated further ahead of the clock become dead letters, in milliseconds'),
};

/** Times from 1980 to 2100, in seconds. In larger units these ranges do not meet. */
export const [earliest, latest] = [315_532_800, 4_102_444_800];
/** Numbers below this are counters: they order events and are no dates. */
const counters = 10_000;
/** Milliseconds in each unit, as a fraction that is exact. */
const milliseconds = {
  counter: [1, 1],
  days: [dayMs, 1],
  s: [1000, 1],
  ms: [1, 1],
  us: [1, 1000],
  ns: [1, 1_000_000],
} as const;

function inUnit(x: number, unit: keyof typeof milliseconds): number {
  const [times, per] = milliseconds[unit];
  // Decimal fractions of seconds are a little off in binary: 1.001 s is 1,001 ms.
  if (times === per) return Math.trunc(x);
  return Math.floor(per === 1 ? x * times + 1e-3 : x / per);
}

/** A number as epoch milliseconds by the one unit in which it is plausible; NaN if there is none. */
function recognised(x: number): number {
  if (x >= earliest * 1000 && x < latest * 1000) return inUnit(x, 'ms');
  if (Math.abs(x) < counters) return inUnit(x, 'counter');
  if (x >= earliest && x < latest) return inUnit(x, 's');
  if (x >= earliest * 1e6 && x < latest * 1e6) return inUnit(x, 'us');
  if (x >= earliest * 1e9 && x < latest * 1e9) return inUnit(x, 'ns');
  return compactDate(String(x));
}

/** YYYYMMDD or YYYYMMDDhhmmss. */
const compact = /^((?:19[7-9]|20\d)\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d))?$/;
function compactDate(digits: string): number {
  const [, year, month, day, hours = '00', minutes = '00', seconds = '00'] = compact.exec(digits) ?? [];
  return parseTime(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}`);
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

const rulesOfNone: TimeRules = { unit: 'auto', maxAheadMs: dayMs };

/** Event time as epoch ms, 0 where there is none. `now` is the clock that `maxAheadMs` counts from. */
export function eventTime(x: unknown, rules: TimeRules = rulesOfNone, now = Date.now()): number | Rejection {
  if (absent(x)) return 0;
  const { unit, maxAheadMs } = rules;
  const n = numeric(x);
  let t: number;
  if (n !== undefined) t = unit === 'auto' ? recognised(n) : inUnit(n, unit);
  else t = x instanceof Date ? x.getTime() : typeof x === 'string' ? parseTime(x) : Number.NaN;
  if (t > now + maxAheadMs && t <= 8.64e15 && unit !== 'counter') {
    const reason = `ts: expected at most ${maxAheadMs} ms ahead of the clock, found ${new Date(t).toISOString()}; \`maxAheadMs\` of the source sets the bound`;
    return { code: 'ts-ahead', reason };
  }
  if (Math.abs(t) <= 8.64e15) return t;
  const expected =
    n !== undefined && Number.isFinite(n)
      ? 'a time in seconds to nanoseconds from 1980 to 2100, or YYYYMMDD (`timeUnit` of the source names others)'
      : 'epoch milliseconds, a date or ISO 8601';
  return { code: 'ts-invalid', reason: `ts: expected ${expected}, found ${describe(x)}` };
}
