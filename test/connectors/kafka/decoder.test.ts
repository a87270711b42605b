/** What a message becomes: fields by their paths in JSON, Avro, Protobuf and CloudEvents, or a rejection that says why. */
import avro from 'avsc';
import type { KafkaMessage } from 'kafkajs';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDecoder } from '#connectors/kafka/decoder.js';
import { kafkaSourceOptions } from '#connectors/kafka/options.js';
import { Records } from '#connectors/kafka/records.js';
import { framed, startRegistry } from '../../support/schema-registry.js';
import type { SourceSettings } from '../../support/topic.js';

interface Sent {
  readonly value: string | Buffer | null;
  readonly key?: string | Buffer;
  readonly headers?: Record<string, string>;
}

const at = 1_700_000_000_000;

/** Decodes messages; each becomes its fields or the code and reason of its rejection. */
async function decode(settings: SourceSettings, ...sent: readonly Sent[]) {
  const options = kafkaSourceOptions.parse({ type: 'kafka', brokers: 'x:1', topics: ['t'], ...settings });
  const decoder = createDecoder(options);
  const records = new Records();
  const messages = sent.map(
    ({ value, key, headers }, k) =>
      ({
        offset: String(k),
        timestamp: String(at),
        value: value === null ? null : Buffer.from(value as string),
        key: key === undefined ? null : Buffer.from(key as string),
        headers: headers && Object.fromEntries(Object.entries(headers).map(([n, v]) => [n, Buffer.from(v)])),
      }) as unknown as KafkaMessage,
  );
  await decoder.prepare(messages);
  for (const message of messages) decoder.decode(message, records);
  const batch = records.batch('t/0');
  return Array.from({ length: batch.length }, (_, k) => {
    const { user, item, weight, op, ts, id } = batch;
    const fields = { user: user[k], item: item[k], weight: weight![k], op: op![k], ts: ts![k], id: id![k] };
    const given = Object.fromEntries(Object.entries(fields).filter(([, x]) => x !== undefined));
    return batch.rejected!.get(k) ?? given;
  });
}
const sent = (value: unknown, rest: Partial<Sent> = {}): Sent => ({ value: JSON.stringify(value), ...rest });

describe('JSON', () => {
  it('takes the fields of the contract, and the time of the record where the value has none', async () => {
    const whole = { user: 'u', item: 7, weight: 2, op: 'remove', ts: '2024-01-01', id: 'e1', more: true };
    expect(await decode({}, sent(whole), sent({ user: 'u', item: 'i' }))).toEqual([
      { user: 'u', item: 7, weight: 2, op: 'remove', ts: '2024-01-01', id: 'e1' },
      { user: 'u', item: 'i', ts: at },
    ]);
  });

  it('follows dotted paths in the value, the key, the headers and the record', async () => {
    const fields = {
      user: '$key.customer.id',
      item: 'lines.1.sku',
      weight: '$headers.qty',
      ts: '$timestamp',
      id: 'meta.id',
    };
    const value = { lines: [{ sku: 'a' }, { sku: 'b' }], meta: { id: 9 } };
    const key = JSON.stringify({ customer: { id: 'c1' } });
    expect(
      await decode({ fields, key: { format: 'json' } }, sent(value, { key, headers: { qty: '3' } })),
    ).toEqual([{ user: 'c1', item: 'b', weight: '3', ts: at, id: 9 }]);
    expect(await decode({ fields: { user: 'a.b.c', item: 'i' } }, sent({ a: { b: null }, i: 1 }))).toEqual([
      { item: 1, ts: at },
    ]);
  });

  it('rejects a record whose key it needs and cannot read, and takes the ones around it', async () => {
    const settings = { fields: { user: '$key.user' }, key: { format: 'json' } } as const;
    const good = sent({ item: 'i' }, { key: '{"user":"u"}' });
    const taken = { user: 'u', item: 'i', ts: at };
    expect(await decode(settings, good, sent({ item: 'i' }, { key: '{"user"' }), good)).toEqual([
      taken,
      expect.objectContaining({ code: 'json-invalid', reason: expect.stringMatching(/^key: expected JSON/) }),
      taken,
    ]);
  });

  it('rejects what is no JSON, no fields, or too large, and takes the rest', async () => {
    const bad = ['{"user":', '', '42', 'null', '"text"', '\u0000'].map(value => ({ value }));
    const large = sent({ user: 'u', item: 'x'.repeat(2000) });
    const found = await decode({ maxRecordBytes: 1000 }, ...bad, large, sent({ user: 'u', item: 'i' }));
    expect(found.map(f => ('code' in f ? f.code : f.user))).toEqual([
      ...['json-invalid', 'json-invalid', 'value-type', 'value-type', 'value-type', 'json-invalid'],
      'record-too-large',
      'u',
    ]);
  });
});

describe('tombstones', () => {
  it('set the item of the user that their key names to nothing', async () => {
    const nothing = { weight: 0, op: 'set', ts: at };
    expect(await decode({ key: {} }, { value: null, key: 'u:i' })).toEqual([
      { user: 'u', item: 'i', ...nothing },
    ]);
    expect(
      await decode(
        { key: { format: 'json', user: 'user', item: 'item.sku' } },
        { value: null, key: '{"user":1,"item":{"sku":"s"}}' },
      ),
    ).toEqual([{ user: 1, item: 's', ...nothing }]);
  });

  it('are rejected when nothing says what they retract', async () => {
    const [unmapped] = await decode({}, { value: null, key: 'u:i' });
    expect(unmapped).toMatchObject({ code: 'tombstone-unmapped' });
    const [keyless] = await decode({ key: {} }, { value: null });
    expect(keyless).toMatchObject({ code: 'tombstone-keyless' });
  });
});

describe('CloudEvents', () => {
  const attributes = {
    specversion: '1.0',
    id: 'e1',
    source: '/shop',
    type: 'viewed',
    time: '2024-05-01T00:00:00Z',
  };
  const expected = { user: 'u', item: 'i', ts: '2024-05-01T00:00:00Z', id: '/shop#e1' };
  const data = { user: 'u', item: 'i' };

  it('are read in the binary and the structured mode', async () => {
    const headers = Object.fromEntries(Object.entries(attributes).map(([n, v]) => [`ce_${n}`, v]));
    const type = 'application/cloudevents+json; charset=utf-8';
    const base64 = Buffer.from(JSON.stringify(data)).toString('base64');
    expect(
      await decode(
        { cloudEvents: true },
        sent(data, { headers: { ...headers, 'content-type': 'application/json' } }),
        sent({ ...attributes, data }, { headers: { 'content-type': type } }),
        sent({ ...attributes, data_base64: base64 }, { headers: { 'content-type': type } }),
      ),
    ).toEqual([expected, expected, expected]);
  });

  it('lend their attributes to fields', async () => {
    const fields = { user: '$ce.subject', item: 'item' };
    const [found] = await decode({ cloudEvents: true, fields }, sent({ ...attributes, subject: 's', data }));
    expect(found).toMatchObject({ user: 's', item: 'i' });
  });

  it('are rejected without their attributes, and when they come in another form', async () => {
    const found = await decode(
      { cloudEvents: true },
      sent({ ...attributes, id: undefined, data }),
      sent(data),
      sent(data, { headers: { 'content-type': 'application/cloudevents-batch+json' } }),
    );
    expect(found.map(f => 'code' in f && f.code)).toEqual(Array(3).fill('cloudevent-invalid'));
  });
});

describe('the schema registry', () => {
  const event = {
    type: 'record',
    name: 'Event',
    fields: [
      { name: 'user', type: 'long' },
      { name: 'item', type: 'string' },
      { name: 'ts', type: { type: 'long', logicalType: 'timestamp-micros' } },
      { name: 'weight', type: ['null', 'double'], default: null },
    ],
  };
  const referring = { ...event, name: 'Referring', fields: [{ name: 'user', type: 'Id' }, event.fields[1]!] };
  const idType = { type: 'record', name: 'Id', fields: [{ name: 'number', type: 'int' }] };
  const proto = `syntax = "proto3"; package shop;
    import "google/protobuf/timestamp.proto"; import "kind.proto";
    message Other { string x = 1; }
    message Event { message Line { string sku = 1; int64 count = 2; optional double weight = 3; }
      string user = 1; Line line = 2; google.protobuf.Timestamp time = 3; Kind op = 4; string id = 5; }`;
  const kind = 'syntax = "proto3"; package shop; enum Kind { add = 0; remove = 1; }';
  let registry: Awaited<ReturnType<typeof startRegistry>>;
  let options: SourceSettings;
  beforeAll(async () => {
    registry = await startRegistry(
      {
        1: { schema: JSON.stringify(event) },
        2: {
          schema: proto,
          schemaType: 'PROTOBUF',
          references: [{ name: 'kind.proto', subject: 'kind', version: 3 }],
        },
        3: { schema: JSON.stringify(referring), references: [{ name: 'Id', subject: 'id', version: 1 }] },
        4: { schema: '{"type": "nonsense"}' },
      },
      { 'kind/3': { schema: kind, schemaType: 'PROTOBUF' }, 'id/1': { schema: JSON.stringify(idType) } },
    );
    options = { registry: { url: `${registry.url}/` } };
  });
  afterAll(() => registry.stop());

  const avroBytes = (user: bigint, ts: number, weight: number | null) => {
    // A zigzag varint of 64 bits, a string, another varint and a union.
    const varint = (n: bigint): number[] => {
      const bytes: number[] = [];
      for (let z = BigInt.asUintN(64, (n << 1n) ^ (n >> 63n)); ; z >>= 7n) {
        if (z < 128n) return [...bytes, Number(z)];
        bytes.push(Number(z & 127n) | 128);
      }
    };
    const double = Buffer.alloc(8);
    double.writeDoubleLE(weight ?? 0);
    const rest = weight === null ? [0] : [2, ...double];
    return Buffer.from([...varint(user), 2, 'i'.charCodeAt(0), ...varint(BigInt(ts) * 1000n), ...rest]);
  };

  it('gives Avro: long ids exactly, microseconds as times, unions, schemas that refer to others', async () => {
    const big = 2n ** 60n + 1n;
    const id = avro.Type.forSchema(idType as avro.Schema).toBuffer({ number: 5 });
    const settings = { ...options, format: 'avro' as const };
    expect(
      await decode(
        settings,
        { value: framed(1, avroBytes(12n, at, 2.5)) },
        { value: framed(1, avroBytes(big, at, null)) },
      ),
    ).toEqual([
      { user: 12, item: 'i', ts: new Date(at), weight: 2.5 },
      { user: big, item: 'i', ts: new Date(at), weight: null },
    ]);
    const [found] = await decode(
      { ...settings, fields: { user: 'user.number' } },
      { value: framed(3, Buffer.concat([id, Buffer.from([2, 105])])) },
    );
    expect(found).toEqual({ user: 5, item: 'i', ts: at });
  });

  it('gives Protobuf: messages by index, enumerations by name, what was not set', async () => {
    const root = protobuf.parse(`${kind}`, { keepCase: true }).root;
    root.addJSON(protobuf.common.get('google/protobuf/timestamp.proto')!.nested!);
    protobuf.parse(proto.replace(/import[^;]*;/g, ''), root, { keepCase: true });
    const type = root.lookupType('shop.Event');
    const bytes = (value: object) => Buffer.from(type.encode(type.fromObject(value)).finish());
    const full = {
      user: 'u',
      line: { sku: 's', count: '9007199254740993', weight: 0 },
      op: 'remove',
      id: 'e',
    };
    const settings = {
      ...options,
      format: 'protobuf' as const,
      fields: { item: 'line.sku', weight: 'line.weight', id: 'line.count', ts: 'time.seconds' },
    };
    expect(
      await decode(
        settings,
        { value: framed(2, bytes(full), [1]) },
        { value: framed(2, bytes({ user: 'v', line: { sku: 't' } }), [1]) },
      ),
    ).toEqual([
      { user: 'u', item: 's', weight: 0, op: 'remove', ts: at, id: '9007199254740993' },
      { user: 'v', item: 't', op: 'add', ts: at },
    ]);
    const line = root.lookupType('shop.Event.Line');
    const inner = Buffer.from(line.encode({ sku: 'x', count: 7 }).finish());
    const [nested] = await decode(
      { ...settings, fields: { user: 'sku', item: 'count' } },
      { value: framed(2, inner, [1, 0]) },
    );
    expect(nested).toMatchObject({ user: 'x', item: '7' });
  });

  it('rejects unknown ids, broken schemas, truncated values and values without the prefix, by name', async () => {
    const whole = avroBytes(12n, at, 2.5);
    const found = await decode(
      { ...options, format: 'avro' },
      { value: framed(99, whole) },
      { value: framed(4, whole) },
      { value: framed(1, whole.subarray(0, whole.length - 3)) },
      { value: framed(1, Buffer.concat([whole, whole])) },
      { value: whole },
      { value: '' },
      { value: framed(1, whole) },
    );
    expect(found.map(f => ('code' in f ? f.code : f.user))).toEqual([
      'schema-unknown',
      'schema-unknown',
      'avro-invalid',
      'avro-invalid',
      'avro-unframed',
      'avro-unframed',
      12,
    ]);
    expect(found[0]).toMatchObject({ reason: 'value: schema 99 is not in the registry' });
  });

  it('is asked once for a schema, and its silence is an error that may pass, not a dead letter', async () => {
    const asked = registry.asked.length;
    const many = Array.from({ length: 50 }, () => ({ value: framed(1, avroBytes(1n, at, null)) }));
    await decode({ ...options, format: 'avro' }, ...many);
    expect(registry.asked.length - asked).toBe(1);
    registry.setDown(true);
    await expect(decode({ ...options, format: 'avro' }, ...many)).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringMatching(/schema registry .*\/schemas\/ids\/1: answered 503/),
    });
    registry.setDown(false);
    const closed = { ...options, registry: { url: 'http://127.0.0.1:9', timeoutMs: 500 } };
    await expect(decode({ ...closed, format: 'avro' }, ...many)).rejects.toMatchObject({ retryable: true });
  });
});
