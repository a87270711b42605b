import type { KeptRecord, RecordBatch, Source, WeightRules } from '../src/contracts/index.js';
import { StageError } from '../src/errors.js';
import { isObject } from '../src/mapping/path.js';
import { decodeEvents, operations } from '../src/stages/events.js';

/** An event as people read it. */
export interface TriedEvent {
  readonly user: string;
  readonly item: string;
  readonly weight: number;
  readonly op: (typeof operations)[number];
  /** ISO 8601, or the counter that it is. */
  readonly ts: string | number;
  readonly id?: string;
}

/** What records became. */
export interface Tried {
  readonly events: readonly TriedEvent[];
  readonly dead: readonly { readonly code: string; readonly reason: string }[];
  /** How many were left out, by reason. */
  readonly skipped: Readonly<Record<string, number>>;
}

/** Times before this are counters: see how event times are told. */
const counters = 10_000;

/** What a batch of records becomes in a state that reads weights by `weights`; `most` of its events. */
export function tryBatch(batch: RecordBatch, weights: WeightRules, most = batch.length): Tried {
  const { events, dead } = decodeEvents(batch, weights);
  return {
    events: Array.from({ length: Math.min(most, events.length) }, (_, k) => {
      const ts = events.ts[k]!;
      const id = events.id[k];
      return {
        user: events.user[k]!,
        item: events.item[k]!,
        weight: weights.interactions === 'binary' ? events.weight[k]! : events.weight[k]! / weights.scale,
        op: operations[events.op[k]!]!,
        ts: Math.abs(ts) < counters ? ts : new Date(ts).toISOString(),
        ...(id === null || id === undefined ? {} : { id }),
      };
    }),
    dead: dead.map(({ code, reason }) => ({ code, reason })),
    skipped: Object.fromEntries([...(batch.skipped ?? [])].filter(([, n]) => n > 0)),
  };
}

const textOf = (x: unknown): string => (typeof x === 'string' ? x : JSON.stringify(x));

/**
 * A line as a record: its value, or, as `{"$value": …, "$key": …, "$headers": {…}, "$timestamp": …}`, a whole record.
 * A `$value` of null is a tombstone.
 */
function recordOf(line: string, sequence: number): KeptRecord {
  const record = { partition: 'input', sequence, code: '', reason: '', raw: line, rejectedAt: Date.now() };
  if (!line.includes('"$value"')) return record;
  const whole: unknown = JSON.parse(line);
  if (!isObject(whole) || !('$value' in whole)) return record;
  const { $value, $key, $headers, $timestamp } = whole;
  return {
    ...record,
    raw: $value === null ? '' : textOf($value),
    rejectedAt: typeof $timestamp === 'number' ? $timestamp : record.rejectedAt,
    key: $key === undefined || $key === null ? undefined : textOf($key),
    headers: isObject($headers)
      ? Object.fromEntries(Object.entries($headers).map(([name, x]) => [name, textOf(x)]))
      : undefined,
  };
}

/** What one line of text, taken as a record of the source, becomes. Nothing is connected or taken in. */
export async function tryLine(
  source: Source,
  line: string,
  sequence: number,
  weights: WeightRules,
): Promise<Tried> {
  if (!source.decodeAgain)
    throw new StageError('USAGE', `source ${source.name}: expected one that can decode a record by itself`);
  return tryBatch(await source.decodeAgain([recordOf(line, sequence)]), weights);
}
