/**
 * The Kafka sink over a real broker: the behaviour of every sink, the documented topics as another program reads them,
 * and readers that see whole versions only.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect, it } from 'vitest';
import { followLists } from '#connectors/kafka/follow.js';
import { murmur2 } from '#connectors/kafka/murmur2.js';
import { readModel } from '#connectors/kafka/reader.js';
import { createKafkaSink } from '#connectors/kafka/sink.js';
import { kafkaSinkOptions } from '#connectors/kafka/sink-options.js';
import type { ListKind, Sink } from '#src/contracts/index.js';
import { fileChecksum } from '#src/contracts/manifest.js';
import { temporaryDirectory } from '../../support/directory.js';
import { manifestOf } from '../../support/manifest.js';
import { leaseSuite, ranked, sinkSuite } from '../../support/sink-suite.js';
import { client, readTopic } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

await withBroker('the Kafka sink', {}, broker => {
  const sinkOn = (prefix: string, more: object = {}): Sink =>
    createKafkaSink(
      kafkaSinkOptions.parse({
        type: 'kafka',
        brokers: [...broker().brokers],
        prefix: basename(prefix),
        partitions: 2,
        ...more,
      }),
    );

  async function read(prefix: string, kind: ListKind, id: string, encoding: 'json' | 'msgpack') {
    const lists = await followLists(client(broker()), 'champion', { prefix: basename(prefix), encoding });
    try {
      return lists.get(kind, id);
    } finally {
      await lists.close();
    }
  }

  sinkSuite('kafka json', path => sinkOn(path), { read: (p, kind, id) => read(p, kind, id, 'json') });

  leaseSuite('kafka', path => sinkOn(path, { leaseMs: 4000 }), {
    leaseMs: 4000,
    read: (p, kind, id) => read(p, kind, id, 'json'),
  });

  async function publish(
    sink: Sink,
    version: string,
    lists: Readonly<Record<string, readonly string[]>>,
    minute = 0,
  ) {
    await sink.begin(manifestOf(version, minute));
    const rows = Object.entries(lists).map(([id, items]) => ranked(id, items));
    await sink.write('users', rows);
    await sink.write('items', rows);
    await sink.finish();
    await sink.point(version);
  }

  it('has the documented records for any reader', async () => {
    const prefix = `p-${randomUUID()}`;
    const sink = sinkOn(prefix);
    await sink.connect();
    await publish(sink, 'v1', { x: ['a'], gone: ['b'] });
    await publish(sink, 'v2', { x: ['c'] }, 1);
    await sink.prune!(1);
    await sink.close();
    const users = await readTopic(broker(), `${prefix}.topk.users`);
    const told = users.map(m => [m.key, m.value, m.headers['model-version']]);
    expect(told.filter(([key]) => key === 'x')).toEqual([
      ['x', '{"items":["a"],"scores":[1]}', 'v1'],
      ['x', '{"items":["c"],"scores":[1]}', 'v2'],
    ]);
    expect(told.filter(([key]) => key === 'gone')).toEqual([
      ['gone', '{"items":["b"],"scores":[1]}', 'v1'],
      ['gone', null, 'v2'],
    ]);
    const models = await readTopic(broker(), `${prefix}.models`);
    const last = new Map(models.map(m => [m.key, m.value]));
    expect(JSON.parse(last.get('champion')!)).toMatchObject({ version: 'v2', complete: true });
    expect(JSON.parse(last.get('v2')!)).toMatchObject({ version: 'v2', weightsChecksum: 'w' });
    expect(last.get('v1')).toBeNull();
    // Since when others have overwritten its lists is told before it goes.
    const [made, overwritten] = models.filter(m => m.key === 'v1').map(m => JSON.parse(m.value!));
    expect(overwritten).toEqual({ ...made, overwrittenAt: expect.any(Number) });
  });

  it('goes on behind a publisher that died before its last step', { timeout: 60_000 }, async () => {
    const prefix = `p-${randomUUID()}`;
    const sink = sinkOn(prefix);
    await sink.connect();
    await publish(sink, 'v1', { x: ['a'] });
    const die = async () => {
      const producer = client(broker()).producer({ transactionalId: `${prefix}.lists`, idempotent: true });
      await producer.connect();
      const transaction = await producer.transaction();
      await transaction.send({ topic: `${prefix}.models`, messages: [{ key: 'lost', value: '{}' }] });
      await producer.disconnect();
    };
    await sink.close();
    await die();
    const next = sinkOn(prefix);
    await next.connect();
    await next.point('v1', 'stable');
    await die();
    await publish(next, 'v2', { x: ['b'] }, 1);
    expect(await next.pointers!()).toEqual(
      new Map([
        ['champion', 'v2'],
        ['stable', 'v1'],
      ]),
    );
    await next.close();
    expect((await read(prefix, 'users', 'x', 'json'))?.items).toEqual(['b']);
  });

  it('puts keys where the Java client puts them', () => {
    const known: readonly (readonly [string, number])[] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['abc', 479470107],
    ];
    for (const [text, hash] of known) expect(murmur2(Buffer.from(text)), text).toBe(hash);
  });

  it('hands the model on in chunks', async () => {
    const prefix = `p-${randomUUID()}`;
    const sink = sinkOn(prefix, { chunkBytes: 1024 });
    const weightsPath = join(temporaryDirectory(), 'weights.safetensors');
    writeFileSync(weightsPath, Buffer.from(Array.from({ length: 5000 }, (_, k) => (k * k) % 251)));
    const items = Array.from({ length: 300 }, (_, k) => `item ${k}`);
    await sink.connect();
    await sink.begin({ ...manifestOf('v1'), weightsChecksum: fileChecksum(weightsPath).checksum });
    await sink.writeModel!({ weightsPath, items });
    await sink.finish();
    await sink.point('v1');
    await publish(sink, 'v2', {}, 1);
    await sink.point('v1', 'stable');
    await sink.close();
    const model = await readModel(client(broker()), 'stable', { prefix });
    expect(model.version).toBe('v1');
    expect(model.weights.length).toBe(5000);
    expect(model.items).toEqual(items);
    await expect(readModel(client(broker()), 'nobody', { prefix })).rejects.toMatchObject({
      code: 'VERSION_UNKNOWN',
    });
  });

  it('refuses topics that would lose parts of a version', async () => {
    const prefix = `p-${randomUUID()}`;
    const admin = client(broker()).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: `${prefix}.topk.users`, numPartitions: 1 }] });
    await admin.disconnect();
    await expect(sinkOn(prefix).connect()).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: `topic ${prefix}.topk.users: expected cleanup.policy=compact, found delete: whole versions would not last; alter the topic's configuration`,
    });
  });

  it('writes no version again that lacks lists', { timeout: 60_000 }, async () => {
    const prefix = `p-${randomUUID()}`;
    const sink = sinkOn(prefix);
    await sink.connect();
    await publish(sink, 'v1', { x: ['a'], y: ['a'] });
    // Somebody else takes a list away.
    const producer = client(broker()).producer();
    await producer.connect();
    const gone = { key: 'y', value: null, headers: { 'model-version': 'v1' } };
    await producer.send({ topic: `${prefix}.topk.users`, messages: [gone] });
    await producer.disconnect();
    await publish(sink, 'v2', { x: ['b'] }, 1);
    await expect(sink.point('v1')).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('1 of 2 lists of users of version v1: publish the model again'),
    });
    expect(await sink.current()).toBe('v2');
    await sink.close();
    expect(await read(prefix, 'users', 'x', 'json')).toEqual(ranked('x', ['b']));
  });

  it('keeps followers on whole versions through publication, rollback and amendment', async () => {
    const prefix = `p-${randomUUID()}`;
    const sink = sinkOn(prefix);
    await sink.connect();
    await publish(sink, 'v1', { x: ['a'], y: ['a'] });
    const seen: string[] = [];
    const lists = await followLists(client(broker()), 'champion', { prefix, onVersion: v => seen.push(v) });
    const versions = lists[Symbol.asyncIterator]();
    const look = () => ['x', 'y', 'z'].map(id => lists.get('users', id)?.items[0]);
    try {
      expect((await versions.next()).value).toBe('v1');
      await sink.begin(manifestOf('v2', 1));
      await sink.write('users', [ranked('x', ['b']), ranked('z', ['b'])]);
      expect(look()).toEqual(['a', 'a', undefined]);
      await sink.finish();
      expect(look()).toEqual(['a', 'a', undefined]);
      await sink.point('v2');
      expect((await versions.next()).value).toBe('v2');
      expect(look()).toEqual(['b', undefined, 'b']);
      await sink.amend!('v2', 'users', { lists: [ranked('x', ['c'])], gone: ['z'] });
      await expect.poll(look, { timeout: 10_000 }).toEqual(['c', undefined, undefined]);
      await sink.point('v1');
      expect((await versions.next()).value).toBe('v1');
      expect(look()).toEqual(['a', 'a', undefined]);
      await sink.point('v2');
      expect((await versions.next()).value).toBe('v2');
      expect(look()).toEqual(['c', undefined, undefined]);
      expect(seen).toEqual(['v1', 'v2', 'v1', 'v2']);
    } finally {
      await lists.close();
      await sink.close();
    }
  });
});
