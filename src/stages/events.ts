import type { DeadLetter, EventColumns, RecordBatch, Rejection, WeightRules } from '../contracts/index.js';
import { eventTime } from './event-time.js';
import { fixedPoint } from './event-weight.js';
import { absent, describe, identifier, isRejection } from './identifier.js';

/** How much of a rejected record is kept with its dead letter, in characters. */
const maxRawLength = 64 * 1024;

/** Operation codes as stored: what an event does to its (user, item) pair; `alias` says that its user is that of another id. */
export const operations = ['add', 'remove', 'set', 'alias'] as const;
export type Operation = (typeof operations)[number];

function operation(x: unknown): number | Rejection {
  if (absent(x)) return 0;
  const code = operations.indexOf(x as Operation);
  return code >= 0
    ? code
    : { code: 'op-unknown', reason: `op: expected add, remove, set or alias, found ${describe(x)}` };
}

/** All that was counted under some names. */
export const totalOf = (counts: Readonly<Record<string, number>> = {}): number =>
  Object.values(counts).reduce((sum, n) => sum + n, 0);

/**
 * Validates the records of a batch: each becomes an event with a fixed-point weight, or a dead letter with its position,
 * an error code and the original record. `rules` say what weights mean; a number is the scale of weights that are
 * neither clamped nor ignored.
 *
 * Of a record that is several events, all become events or none does, so that it is a dead letter that can be decoded
 * again. Its last event of a pair counts where weights are not added up: they have one place in the order of events.
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
  /** The sequence number of the record that became a dead letter last. */
  let refused: number | undefined;
  for (let k = 0; k < size; k++) {
    const place = batch.sequence[k]!;
    if (place === refused) continue;
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
      dead.push({ partition: batch.partition, sequence: place, code, reason, user, raw });
      refused = place;
      while (length > 0 && sequence[length - 1] === place) length--;
      continue;
    }
    let at = length++;
    if (weights.interactions !== 'sum')
      for (let e = at - 1; e >= 0 && sequence[e] === place; e--)
        if (users[e] === u && items[e] === i) [at, length] = [e, length - 1];
    users[at] = u;
    items[at] = i;
    id[at] = eventId;
    weight[at] = w;
    op[at] = o;
    ts[at] = t;
    sequence[at] = place;
  }
  for (const column of [users, items, id]) column.length = length;
  return { events: { length, user: users, item: items, weight, op, ts, id, sequence }, dead };
}
