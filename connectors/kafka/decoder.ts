import type { KafkaMessage } from 'kafkajs';
import { openCloudEvent } from './cloud-events.js';
import { type Attributes, compile, type Getter } from './fields.js';
import { FlatJson } from './flat-json.js';
import { marksDelete, operationReader } from './operations.js';
import { fieldPaths, type KafkaSourceOptions } from './options.js';
import { openPayloads, type Payloads } from './payloads.js';
import type { Records } from './records.js';
import { firstLine, Undecodable } from './undecodable.js';

/** Turns messages into records. */
export interface Decoder {
  /** Fetches what decoding `messages` takes from elsewhere. */
  prepare(messages: readonly KafkaMessage[]): Promise<void>;
  /** Appends one message: its fields, or why it has none. */
  decode(message: KafkaMessage, records: Records): void;
}

/** Appends the record of a message, or throws `Undecodable`. */
type Take = (message: KafkaMessage, records: Records) => void;

/** The record's own time, where its value has none. A unit that is configured holds for values only. */
const recordTime = ({ timeUnit }: KafkaSourceOptions): ((message: KafkaMessage) => number | Date) =>
  timeUnit === 'auto' || timeUnit === 'ms' || timeUnit === 'counter'
    ? message => Number(message.timestamp)
    : message => new Date(Number(message.timestamp));

/** Takes tombstones: the item of the user that the key names is set to nothing. */
function retraction(options: KafkaSourceOptions, payloads: Payloads): Take {
  const { key: keyOptions } = options;
  const own = recordTime(options);
  const user = compile(keyOptions?.user ?? '0');
  const item = compile(keyOptions?.item ?? '1');
  return (message, records) => {
    if (!keyOptions)
      throw new Undecodable(
        'tombstone-unmapped',
        'a record without a value: set `key` to say what it retracts',
      );
    if (!message.key)
      throw new Undecodable('tombstone-keyless', 'a record without a value and without a key');
    const key = payloads.key(message);
    const [of, what] = [user(key, message, undefined, key), item(key, message, undefined, key)];
    records.add(Number(message.offset), null);
    records.user.push(of);
    records.item.push(what);
    records.weight.push(0);
    records.op.push('set');
    records.ts.push(own(message));
    records.id.push(undefined);
  };
}

/** Takes values whose fields all lie in the record itself: `v[name]`, the common case. */
function flatTaker(options: KafkaSourceOptions, payloads: Payloads): Take {
  const names = fieldPaths(options);
  const own = recordTime(options);
  const flat =
    options.format === 'json'
      ? new FlatJson([...fieldNames.map(f => names[f]), '__deleted', '__op'])
      : undefined;
  const operation = operationOf(options, payloads);
  const blank = blankOf(options);
  return (message, records) => {
    const bytes = message.value!;
    if (flat?.read(bytes)) {
      const { fields } = flat;
      const op = operation ? operation(fields[3]) : fields[3];
      if (fields[6] !== undefined || fields[7] !== undefined) refuseDelete(fields[6], fields[7], op);
      records.add(Number(message.offset), bytes);
      records.user.push(fields[0]);
      records.item.push(fields[1]);
      records.weight.push(fields[2]);
      records.op.push(op);
      records.ts.push(fields[4] ?? own(message));
      records.id.push(fields[5]);
      return;
    }
    const v = fieldsOf(payloads.value(bytes, 'value', message.headers));
    const op = blank(operation ? operation(v[names.op]) : v[names.op]);
    refuseDelete(v.__deleted, v.__op, op);
    records.add(Number(message.offset), bytes);
    // Six places in the code, so that each learns where its field lies in the objects.
    records.user.push(v[names.user]);
    records.item.push(v[names.item]);
    records.weight.push(v[names.weight]);
    records.op.push(op);
    records.ts.push(blank(v[names.ts]) ?? own(message));
    records.id.push(blank(v[names.id]));
  };
}

/** Takes values whose fields are found by paths, in the value, the key, the headers or a CloudEvent's attributes. */
function pathTaker(options: KafkaSourceOptions, payloads: Payloads): Take {
  const names = fieldPaths(options);
  const own = recordTime(options);
  const operation = operationOf(options, payloads);
  const blank = blankOf(options);
  const user = compile(names.user);
  const item = compile(names.item);
  const weight = compile(names.weight);
  const op = compile(names.op);
  const ts: Getter = names.ts === '$timestamp' ? (_, message) => own(message) : compile(names.ts);
  const id = compile(names.id);
  const deleted = compile(siblingOf(names.user, '__deleted'));
  const change = compile(siblingOf(names.user, '__op'));
  const usesKey = fieldNames.some(f => names[f].split('.')[0] === '$key');
  return (message, records) => {
    let value: unknown;
    let attributes: Attributes | undefined;
    const read = (bytes: Buffer, what: string) => payloads.value(bytes, what, message.headers);
    if (options.cloudEvents) [value, attributes] = openCloudEvent(message, bytes => read(bytes, 'data'));
    else value = read(message.value!, 'value');
    fieldsOf(value);
    const key = usesKey ? payloads.key(message) : undefined;
    const get = (getter: Getter) => getter(value, message, attributes, key);
    const given = get(op);
    const operated = blank(operation ? operation(given) : given);
    refuseDelete(get(deleted), get(change), operated);
    records.add(Number(message.offset), message.value);
    records.user.push(get(user));
    records.item.push(get(item));
    records.weight.push(get(weight));
    records.op.push(operated);
    records.ts.push(blank(get(ts)) ?? own(message));
    records.id.push(blank(get(id)));
  };
}

const fieldNames = ['user', 'item', 'weight', 'op', 'ts', 'id'] as const;

/** The path of a field that stands beside the one at `path`; at the top where that is no path into the value. */
const siblingOf = (path: string, name: string): string =>
  path.startsWith('$') ? name : [...path.split('.').slice(0, -1), name].join('.');

/** How an operation is read; `undefined`: as it is. */
function operationOf(
  options: KafkaSourceOptions,
  payloads: Payloads,
): ((op: unknown) => unknown) | undefined {
  const byName = operationReader(options.fields.op);
  return byName ?? (options.format === 'protobuf' ? payloads.operation : undefined);
}

/** Protobuf sends no default values: what is empty was not set. */
const blankOf =
  ({ format }: KafkaSourceOptions) =>
  (x: unknown): unknown =>
    format === 'protobuf' && (x === '' || x === '0' || x === 0) ? undefined : x;

/** Refuses the record of a deleted row that would else be taken for an addition. */
function refuseDelete(deleted: unknown, change: unknown, op: unknown): void {
  if (op === 'remove' || !marksDelete(deleted, change)) return;
  throw new Undecodable(
    'delete-unmapped',
    'the record of a deleted row: set `fields.op` to `__deleted` or `__op`, so that it removes',
  );
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  throw new Undecodable(
    'value-type',
    `value: expected fields, found ${value === null ? 'null' : typeof value}`,
  );
}

/** Makes the decoder that a source's options ask for. */
export function createDecoder(options: KafkaSourceOptions): Decoder {
  const { cloudEvents, maxRecordBytes } = options;
  const payloads = openPayloads(options);
  const plain = !cloudEvents && Object.values(fieldPaths(options)).every(path => /^[^.$]+$/.test(path));
  const take = plain ? flatTaker(options, payloads) : pathTaker(options, payloads);
  const retract = retraction(options, payloads);
  return {
    prepare: messages => payloads.prepare(messages),
    decode(message, records) {
      const { value } = message;
      try {
        if (value === null) retract(message, records);
        else if (value.length > maxRecordBytes)
          throw new Undecodable(
            'record-too-large',
            `value: expected at most ${maxRecordBytes} bytes, found ${value.length}`,
          );
        else take(message, records);
      } catch (error) {
        records.reject(
          Number(message.offset),
          value ?? message.key,
          error instanceof Undecodable
            ? { code: error.code, reason: error.reason }
            : { code: 'undecodable', reason: firstLine(error) },
        );
      }
    },
  };
}
