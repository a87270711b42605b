/** What a message becomes: fields by their paths in JSON, Avro, Protobuf and CloudEvents, or a rejection that says why. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import avro from 'avsc';
import type { KafkaMessage } from 'kafkajs';
import protobuf from 'protobufjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDecoder } from '#connectors/kafka/decoder.js';
import { kafkaSourceOptions } from '#connectors/kafka/options.js';
import { Records } from '#src/mapping/records.js';
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

describe('what producers write', () => {
  it('whole numbers beyond 2^53 keep their digits, in values and keys', async () => {
    const value = '{"user":1795292668348461057,"item":653247040368672768,"id":9007199254740993}';
    expect(await decode({}, { value })).toEqual([
      { user: 1795292668348461057n, item: 653247040368672768n, id: 9007199254740993n, ts: at },
    ]);
    const settings = { fields: { user: '$key.u' }, key: { format: 'json' } } as const;
    const [found] = await decode(settings, sent({ item: 'i' }, { key: '{"u":1795292668348461057}' }));
    expect(found).toMatchObject({ user: 1795292668348461057n });
  });

  it('names with dots are found by their path, nested fields before them', async () => {
    const fields = { user: 'user.id', item: 'ecommerce.item.sku' };
    const [dotted, nested] = await decode(
      { fields },
      sent({ 'user.id': 'ann', 'ecommerce.item.sku': 'A' }),
      sent({ user: { id: 'bob' }, 'user.id': 'ann', ecommerce: { 'item.sku': 'B' } }),
    );
    expect([dotted, nested]).toEqual([
      { user: 'ann', item: 'A', ts: at },
      { user: 'bob', item: 'B', ts: at },
    ]);
  });

  it('Kafka Connect: decimals by their scale, times by their unit, below the payload', async () => {
    const decimal = {
      name: 'org.apache.kafka.connect.data.Decimal',
      parameters: { scale: '2' },
      type: 'bytes',
    };
    const schema = {
      type: 'struct',
      fields: [
        { field: 'item', ...decimal },
        { field: 'weight', ...decimal },
        { field: 'ts', type: 'int64', name: 'io.debezium.time.MicroTimestamp' },
      ],
    };
    const base64 = (...bytes: number[]) => Buffer.from(bytes).toString('base64');
    const payload = { user: 'u', item: base64(0x27, 0x74), weight: base64(0xff, 0x83), ts: at * 1000 };
    const fields = { user: 'payload.user', item: 'payload.item', weight: 'payload.weight', ts: 'payload.ts' };
    expect(await decode({ fields }, sent({ schema, payload }))).toEqual([
      { user: 'u', item: 101, weight: -1.25, ts: new Date(at) },
    ]);
  });

  const row = { user: 'u', item: 'i' };
  it('a flattened delete removes where it is mapped, and is never an addition', async () => {
    const ops = async (op: string | undefined, ...rows: object[]) =>
      (await decode(op ? { fields: { op } } : {}, ...rows.map(r => sent({ ...row, ...r })))).map(f =>
        'code' in f ? f.code : f.op,
      );
    const rows = [
      { __deleted: 'true' },
      { __deleted: true },
      { __op: 'd' },
      { __deleted: 'false', __op: 'c' },
    ];
    const refused = 'delete-unmapped';
    expect(await ops(undefined, ...rows)).toEqual([refused, refused, refused, undefined]);
    expect(await ops('__deleted', ...rows)).toEqual(['remove', 'remove', refused, 'add']);
    expect(await ops('__op', ...rows)).toEqual([refused, refused, 'remove', 'add']);
    expect(await ops('__op', { __op: 'u' }, { __op: 'r' }, { __op: 'x' })).toEqual(['set', 'add', 'x']);
    expect(
      await ops(undefined, { op: 'remove', __deleted: 'true' }, { op: 'add', __deleted: 'true' }),
    ).toEqual(['remove', refused]);
    const [nested] = await decode(
      { fields: { user: 'after.user', item: 'after.item' } },
      sent({ after: { ...row, __deleted: 'true' } }),
    );
    expect(nested).toMatchObject({ code: refused });
  });

  it('a key with more parts than are read cannot be told apart', async () => {
    const codes = async (key: object, text: string) =>
      (await decode({ key }, { value: null, key: text })).map(f => ('code' in f ? f.code : f.item));
    expect(await codes({}, 'a:b:c')).toEqual(['key-ambiguous']);
    expect(await codes({}, 'urn:u:1:urn:i:9')).toEqual(['key-ambiguous']);
    expect(await codes({ parts: 3 }, 'a:b:c')).toEqual(['b']);
    expect(await codes({ item: '2' }, 'a:b:c')).toEqual(['c']);
  });

  it('a unit that is configured is that of values, not of the record', async () => {
    const [own, given] = await decode({ timeUnit: 's' }, sent(row), sent({ ...row, ts: 5 }));
    expect([own, given]).toEqual([
      { ...row, ts: new Date(at) },
      { ...row, ts: 5 },
    ]);
  });

  it('two fields with one path, logins in brokers and PEM in place of a path are refused', () => {
    const refuses = (settings: object, message: RegExp) =>
      expect(() =>
        kafkaSourceOptions.parse({ type: 'kafka', brokers: 'x:1', topics: ['t'], ...settings }),
      ).toThrow(message);
    refuses({ fields: { item: 'id' } }, /expected a path of its own, found ..id../);
    refuses({ cloudEvents: true, fields: { user: '$ce.uid' } }, /expected a path of its own/);
    refuses({ brokers: 'u:p@x:1' }, /belongs into `sasl`/);
    refuses({ ssl: { key: '-----BEGIN PRIVATE KEY-----' } }, /path of a PEM file|Invalid input/);
    kafkaSourceOptions.parse({
      type: 'kafka',
      brokers: 'x:1',
      topics: ['t'],
      fields: { op: 'none', ts: 'none', item: 'id', id: 'none' },
    });
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

  const types = {
    11: {
      type: 'record',
      name: 'W',
      fields: [
        ...[event.fields[1]!],
        { name: 'weight', type: ['null', 'int', 'double'] },
        { name: 'user', type: ['string', 'long'] },
      ],
    },
    12: [
      { type: 'record', name: 'Viewed', namespace: 'shop', fields: [event.fields[1]!] },
      {
        type: 'record',
        name: 'Bought',
        namespace: 'shop',
        fields: [event.fields[1]!, { name: 'user', type: 'string' }],
      },
    ],
    13: {
      type: 'record',
      name: 'E',
      fields: [
        {
          name: 'payload',
          type: [
            { type: 'record', name: 'V', namespace: 'shop', fields: [event.fields[1]!] },
            { type: 'record', name: 'B', namespace: 'shop', fields: [event.fields[1]!] },
          ],
        },
      ],
    },
    14: {
      type: 'record',
      name: 'L',
      fields: [
        { name: 'item', type: { type: 'bytes', logicalType: 'decimal', precision: 10, scale: 2 } },
        { name: 'weight', type: { type: 'bytes', logicalType: 'decimal', precision: 10, scale: 2 } },
        { name: 'ts', type: { type: 'int', logicalType: 'date' } },
        { name: 'id', type: { type: 'long', 'connect.name': 'io.debezium.time.MicroTimestamp' } },
      ],
    },
  } as const;
  const wrapped = (id: keyof typeof types, value: object) => ({
    value: framed(
      id,
      avro.Type.forSchema(types[id] as unknown as avro.Schema, { wrapUnions: true }).toBuffer(value),
    ),
  });

  it('gives Avro: the branch of any union, decimals and logical types', async () => {
    const other = await startRegistry(
      Object.fromEntries(
        Object.entries(types).map(([id, schema]) => [id, { schema: JSON.stringify(schema) }]),
      ),
    );
    try {
      const settings = { registry: { url: other.url }, format: 'avro' as const };
      const v = { payload: { 'shop.V': { item: 'i' } } };
      expect(
        await decode(
          settings,
          wrapped(11, { item: 'i', weight: { int: 3 }, user: { long: 77 } }),
          wrapped(12, { 'shop.Bought': { item: 'i', user: 'u' } }),
        ),
      ).toEqual([
        { user: 77, item: 'i', weight: 3, ts: at },
        { user: 'u', item: 'i', ts: at },
      ]);
      for (const item of ['payload.item', 'payload.shop.V.item', 'payload.item.string'])
        expect(await decode({ ...settings, fields: { item } }, wrapped(13, v))).toEqual([
          { item: 'i', ts: at },
        ]);
      const item = Buffer.from([0x27, 0x74]);
      expect(
        await decode(
          settings,
          wrapped(14, { item, weight: Buffer.from([0x04, 0xe2]), ts: 20574, id: at * 1000 }),
        ),
      ).toEqual([{ item: 101, weight: 12.5, ts: new Date('2026-05-01'), id: new Date(at) }]);
    } finally {
      await other.stop();
    }
  });

  it('gives Protobuf: timestamps, wrappers, and operations by the names of an enumeration', async () => {
    const text = `syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
      message Event { google.protobuf.StringValue user = 1; string item = 2; google.protobuf.Timestamp ts = 3;
        google.protobuf.DoubleValue weight = 4; Op op = 5; enum Op { OP_UNSPECIFIED = 0; OP_ADD = 1; OP_REMOVE = 2; } }`;
    const other = await startRegistry({ 1: { schema: text, schemaType: 'PROTOBUF' } });
    const root = new protobuf.Root();
    for (const name of ['timestamp', 'wrappers'])
      root.addJSON(protobuf.common.get(`google/protobuf/${name}.proto`)!.nested!);
    protobuf.parse(text, root, { keepCase: true });
    const type = root.lookupType('Event');
    const value = (event: object) => ({
      value: framed(1, Buffer.from(type.encode(type.fromObject(event)).finish()), [0]),
    });
    try {
      const settings = { registry: { url: other.url }, format: 'protobuf' as const };
      const full = {
        user: { value: 'u' },
        item: 'i',
        ts: { seconds: at / 1000, nanos: 5e8 },
        weight: { value: 0 },
        op: 2,
      };
      const [found, bare] = await decode(settings, value(full), value({ item: 'i' }));
      expect(found).toMatchObject({ user: 'u', item: 'i', weight: 0, op: 'remove' });
      expect((found as { ts: Date }).ts.getTime()).toBe(at + 500);
      expect(bare).toEqual({ user: null, item: 'i', weight: null, ts: at });
      const paths = { user: 'user.value', weight: 'weight.value', ts: 'ts.seconds' };
      const [inside] = await decode({ ...settings, fields: paths }, value(full));
      expect(inside).toMatchObject({ user: 'u', weight: 0, ts: String(at / 1000) });
    } finally {
      await other.stop();
    }
  });

  it('says which other framing bytes have, and reads ids of 8 bytes', async () => {
    const long = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1]), avroBytes(12n, at, null)]);
    const settings = { ...options, format: 'avro' as const };
    const reasons = async (...messages: Sent[]) =>
      (await decode(settings, ...messages)).map(f => ('reason' in f ? f.reason : f));
    expect(
      await reasons(
        { value: long },
        { value: avroBytes(12n, at, null), headers: { 'apicurio.value.globalId': '1' } },
        { value: Buffer.from([3, 0, 1, 2, 3]) },
      ),
    ).toEqual([
      expect.stringMatching(/registry\.idBytes: 8/),
      expect.stringMatching(/header apicurio\.value\.globalId/),
      expect.stringMatching(/AWS Glue/),
    ]);
    const eight = { ...settings, registry: { url: registry.url, idBytes: 8 as const } };
    expect(await decode(eight, { value: long })).toMatchObject([{ user: 12, item: 'i' }]);
  });

  it('an answer that is no schema is an outage, an id that cannot be is not asked for', async () => {
    const server = createServer((_, response) =>
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html>'),
    );
    let status = 200;
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const settings = { format: 'avro' as const, registry: { url } };
    try {
      for (status of [200, 404, 302])
        await expect(decode(settings, { value: framed(1, avroBytes(1n, at, null)) })).rejects.toMatchObject({
          code: 'SOURCE_UNREADABLE',
        });
    } finally {
      server.close();
    }
    expect(await decode(settings, { value: framed(-1, avroBytes(1n, at, null)) })).toMatchObject([
      { code: 'schema-unknown' },
    ]);
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
