import type { KafkaMessage } from 'kafkajs';
import type { Rejection } from '../../src/contracts/index.js';
import { type Attributes, compile } from './fields.js';
import { FlatJson } from './flat-json.js';
import type { KafkaSourceOptions } from './options.js';
import type { Records } from './records.js';
import { openRegistry } from './registry.js';

/** Why a record cannot be decoded; thrown and caught within this file. */
class Undecodable extends Error {
  constructor(
    readonly code: string,
    readonly reason: string,
  ) {
    super(reason);
  }
}

/** Turns messages into records. */
export interface Decoder {
  /** Fetches what decoding `messages` takes from elsewhere. */
  prepare(messages: readonly KafkaMessage[]): Promise<void>;
  /** Appends one message: its fields, or why it has none. */
  decode(message: KafkaMessage, records: Records): void;
}

type Format = KafkaSourceOptions['format'] | 'text';

/** Length of the wire format's prefix: a zero byte and the schema's id. */
const prefixBytes = 5;
const isFramed = (bytes: Buffer): boolean => bytes.length >= prefixBytes && bytes[0] === 0;

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0]!;

function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch (error) {
    throw new Undecodable('json-invalid', `${what}: expected JSON, found: ${firstLine(error).slice(0, 120)}`);
  }
}

/** The attributes and the data of a CloudEvent, in either of its content modes. */
function openCloudEvent(message: KafkaMessage, data: (bytes: Buffer) => unknown): [unknown, Attributes] {
  const headers = message.headers ?? {};
  const header = (name: string): string | undefined => headers[name]?.toString();
  const type = header('content-type') ?? '';
  const value = message.value!;
  let attributes: Record<string, unknown>;
  let body: () => unknown;
  if (header('ce_specversion') !== undefined) {
    const named = Object.keys(headers).filter(name => name.startsWith('ce_'));
    attributes = Object.fromEntries(named.map(name => [name.slice(3), header(name)]));
    body = () => data(value);
  } else if (type.startsWith('application/cloudevents+json') || type === '') {
    attributes = (parseJson(value, 'value') ?? {}) as Record<string, unknown>;
    const { data: inside, data_base64: bytes } = attributes;
    body = () => (typeof bytes === 'string' ? data(Buffer.from(bytes, 'base64')) : inside);
  } else {
    throw new Undecodable(
      'cloudevent-invalid',
      `expected a CloudEvent, found content-type ${type.slice(0, 60)}`,
    );
  }
  for (const name of ['specversion', 'id', 'source', 'type']) {
    if (typeof attributes[name] !== 'string' || attributes[name] === '')
      throw new Undecodable('cloudevent-invalid', `CloudEvent: expected the attribute ${name}, found none`);
  }
  return [body(), attributes];
}

/** Makes the decoder that a source's options ask for. */
export function createDecoder(options: KafkaSourceOptions): Decoder {
  const { format, cloudEvents, key: keyOptions, fields, maxRecordBytes } = options;
  const registry = options.registry && openRegistry(options.registry);
  const ts = fields.ts ?? (cloudEvents ? '$ce.time' : 'ts');
  const id = fields.id ?? (cloudEvents ? '$ce.uid' : 'id');
  const names = { ...fields, ts, id };
  const plain = Object.values(names).every(path => /^[^.$]+$/.test(path));
  const flat =
    plain && format === 'json' && !cloudEvents
      ? new FlatJson([names.user, names.item, names.weight, names.op, ts, id])
      : undefined;
  const get = {
    user: compile(names.user),
    item: compile(names.item),
    weight: compile(names.weight),
    op: compile(names.op),
    ts: compile(ts),
    id: compile(id),
  };
  const usesKey = Object.values(fields).some(path => path?.split('.')[0] === '$key');
  const keyUser = compile(keyOptions?.user ?? '0');
  const keyItem = compile(keyOptions?.item ?? '1');
  // Protobuf sends no default values: what is empty was not set.
  const sparse = format === 'protobuf';
  const blank = (x: unknown): unknown => (sparse && (x === '' || x === '0' || x === 0) ? undefined : x);

  /** Bytes in the wire format of the registry. */
  function framed(bytes: Buffer, what: string, as: Format): unknown {
    if (!isFramed(bytes)) {
      const reason = `${what}: expected a zero byte and a schema id, found ${bytes.subarray(0, prefixBytes).toString('hex') || 'nothing'}`;
      throw new Undecodable(`${as}-unframed`, reason);
    }
    const read = registry!.reader(bytes.readInt32BE(1));
    if (typeof read === 'string') throw new Undecodable('schema-unknown', `${what}: ${read}`);
    try {
      return read(bytes.subarray(prefixBytes));
    } catch (error) {
      throw new Undecodable(
        `${as}-invalid`,
        `${what}: does not fit its schema: ${firstLine(error).slice(0, 120)}`,
      );
    }
  }

  function parse(bytes: Buffer, what: string, as: Format): unknown {
    if (as === 'text') return bytes.toString().split(keyOptions!.separator);
    if (as === 'json') return parseJson(bytes[0] === 0 ? bytes.subarray(prefixBytes) : bytes, what);
    return framed(bytes, what, as);
  }

  function keyOf(message: KafkaMessage): unknown {
    return message.key && keyOptions ? parse(message.key, 'key', keyOptions.format) : message.key?.toString();
  }

  function retract(message: KafkaMessage, records: Records): void {
    if (!keyOptions)
      throw new Undecodable(
        'tombstone-unmapped',
        'a record without a value: set `key` to say what it retracts',
      );
    if (!message.key)
      throw new Undecodable('tombstone-keyless', 'a record without a value and without a key');
    const key = keyOf(message);
    const [of, what] = [keyUser(key, message, undefined, key), keyItem(key, message, undefined, key)];
    records.add(Number(message.offset), null);
    records.user.push(of);
    records.item.push(what);
    records.weight.push(0);
    records.op.push('set');
    records.ts.push(Number(message.timestamp));
    records.id.push(undefined);
  }

  function take(message: KafkaMessage, bytes: Buffer, records: Records): void {
    if (bytes.length > maxRecordBytes) {
      const reason = `value: expected at most ${maxRecordBytes} bytes, found ${bytes.length}`;
      throw new Undecodable('record-too-large', reason);
    }
    if (flat?.read(bytes)) {
      const { fields } = flat;
      records.add(Number(message.offset), bytes);
      records.user.push(fields[0]);
      records.item.push(fields[1]);
      records.weight.push(fields[2]);
      records.op.push(fields[3]);
      records.ts.push(fields[4] ?? Number(message.timestamp));
      records.id.push(fields[5]);
      return;
    }
    let value: unknown;
    let attributes: Attributes | undefined;
    if (cloudEvents) [value, attributes] = openCloudEvent(message, data => parse(data, 'data', format));
    else value = parse(bytes, 'value', format);
    if (typeof value !== 'object' || value === null)
      throw new Undecodable(
        'value-type',
        `value: expected fields, found ${value === null ? 'null' : typeof value}`,
      );
    const offset = Number(message.offset);
    if (plain) {
      records.add(offset, bytes);
      // Six places in the code, so that each learns where its field lies in the objects.
      const v = value as Record<string, unknown>;
      records.user.push(v[names.user]);
      records.item.push(v[names.item]);
      records.weight.push(v[names.weight]);
      records.op.push(blank(v[names.op]));
      records.ts.push(blank(v[names.ts]) ?? Number(message.timestamp));
      records.id.push(blank(v[names.id]));
      return;
    }
    const key = usesKey ? keyOf(message) : undefined;
    records.add(offset, bytes);
    records.user.push(get.user(value, message, attributes, key));
    records.item.push(get.item(value, message, attributes, key));
    records.weight.push(get.weight(value, message, attributes, key));
    records.op.push(blank(get.op(value, message, attributes, key)));
    records.ts.push(blank(get.ts(value, message, attributes, key)) ?? Number(message.timestamp));
    records.id.push(blank(get.id(value, message, attributes, key)));
  }

  return {
    async prepare(messages) {
      if (!registry) return;
      const ids = new Set<number>();
      const note = (bytes: Buffer | null, as: Format | undefined) => {
        if (bytes && (as === 'avro' || as === 'protobuf') && isFramed(bytes)) ids.add(bytes.readInt32BE(1));
      };
      for (const { key, value } of messages) {
        note(value, format);
        note(key, keyOptions?.format);
      }
      await registry.prepare(ids);
    },
    decode(message, records) {
      try {
        if (message.value === null) retract(message, records);
        else take(message, message.value, records);
      } catch (error) {
        const rejection: Rejection =
          error instanceof Undecodable
            ? { code: error.code, reason: error.reason }
            : { code: 'undecodable', reason: firstLine(error) };
        records.reject(Number(message.offset), message.value ?? message.key, rejection);
      }
    },
  };
}
