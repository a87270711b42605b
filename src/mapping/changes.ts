import { type Getter, type Given, isObject } from './path.js';
import { Undecodable } from './undecodable.js';

/** Change-data capture: what Debezium writes into `__op`, for topics that are mapped by hand. */
const changes: Readonly<Record<string, string>> = { c: 'add', r: 'add', u: 'set', d: 'remove' };
const truths: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [true, 'remove'],
  ['true', 'remove'],
  [false, 'add'],
  ['false', 'add'],
]);

/**
 * How the field that `op` names says what an event does: itself; by a truth value, where it is called `__deleted` or
 * `deleted`; by c, r, u and d, where it is called `__op`. `undefined`: as it is.
 */
export function operationReader(name: string): ((op: unknown) => unknown) | undefined {
  if (/(^|_)deleted$/.test(name)) return op => truths.get(op) ?? op;
  if (name === '__op') return op => (typeof op === 'string' && Object.hasOwn(changes, op) ? changes[op] : op);
  return undefined;
}

const isTrue = (x: unknown): boolean => x === true || (typeof x === 'string' && x.toLowerCase() === 'true');

/** Refuses the record of a deleted row that would else be taken for an addition. */
export function refuseDelete(deleted: unknown, change: unknown, op: unknown): void {
  if (op === 'remove' || (change !== 'd' && !isTrue(deleted))) return;
  throw new Undecodable(
    'delete-unmapped',
    'the record of a deleted row: set `envelope: debezium`, or `fields.op` to `__deleted` or `__op`, so that it removes',
  );
}

/** The payload of Kafka Connect's envelope; other values as they are. */
export const payloadOf = (value: unknown): unknown =>
  isObject(value) && 'schema' in value && 'payload' in value ? value.payload : value;

/**
 * Opens a change of Debezium, whole or flattened: `value` becomes the row, as it was before a deletion. Returns why the
 * record is none of a row.
 *
 * @throws Undecodable for a TRUNCATE, and for a change without a row.
 */
export function openChange(given: Given): string | undefined {
  const envelope = payloadOf(given.value);
  if (envelope === null) return 'tombstone';
  given.envelope = envelope;
  given.value = envelope;
  given.change = undefined;
  if (!isObject(envelope)) return undefined;
  const { op } = envelope;
  if (typeof op === 'string' && ('after' in envelope || 'before' in envelope || op === 't')) {
    if (op === 'm') return 'message';
    if (op === 't')
      throw new Undecodable(
        'truncate-unmapped',
        'a table was truncated, which no event says; make a new state from a new snapshot',
      );
    given.change = op;
    given.value = op === 'd' ? envelope.before : envelope.after;
    if (isObject(given.value)) return undefined;
    throw new Undecodable(
      'row-missing',
      `a change ${op} without the row; Postgres sends rows before a deletion with REPLICA IDENTITY FULL`,
    );
  }
  given.change = isTrue(envelope.__deleted) ? 'd' : String(envelope.__op ?? 'r');
  return undefined;
}

/** When a row changed: the database's clock, or Debezium's; snapshots of some databases have 0. */
export const changedAt: Getter = ({ envelope }) => {
  if (!isObject(envelope)) return undefined;
  const { source } = envelope;
  return (
    (isObject(source) && source.ts_ms) ||
    envelope.__source_ts_ms ||
    envelope.ts_ms ||
    envelope.__ts_ms ||
    undefined
  );
};
