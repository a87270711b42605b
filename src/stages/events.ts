import type { DeadLetter, EventColumns, RecordBatch, Rejection, WeightRules } from '../contracts/index.js';
import { eventTime } from './event-time.js';
import { fixedPoint } from './event-weight.js';
import { absent, describe, identifier, isRejection } from './identifier.js';

/** How much of a rejected record is kept with its dead letter, in characters. */
const maxRawLength = 64 * 1024;

/** Operation codes as stored: add, remove, set. */
export const operations = ['add', 'remove', 'set'] as const;
/** What an event does to its (user, item) pair. */
export type Operation = (typeof operations)[number];

function operation(x: unknown): number | Rejection {
  if (absent(x)) return 0;
  const code = operations.indexOf(x as Operation);
  return code >= 0
    ? code
    : { code: 'op-unknown', reason: `op: expected add, remove or set, found ${describe(x)}` };
}

/**
 * Validates the records of a batch: each becomes an event with a fixed-point weight, or a dead letter with its position,
 * an error code and the original record. `rules` say what weights mean; a number is the scale of weights that are
 * neither clamped nor ignored.
 */
export function decodeEvents(
  batch: RecordBatch,
  rules: WeightRules | number,
): { readonly events: EventColumns; readonly dead: readonly DeadLetter[] } {
  const weights: WeightRules = typeof rules === 'number' ? { interactions: 'last', scale: rules } : rules;
  const now = Date.now();
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
    const o = operation(batch.op?.[k]);
    const w = fixedPoint(batch.weight?.[k], o, weights);
    const t = eventTime(batch.ts?.[k], batch.times, now);
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
