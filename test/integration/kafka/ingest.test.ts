/**
 * From topics into a state: poison among good records, duplicates and disorder, a process that dies at any point and
 * a broker that is away.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';
import { silent } from '#src/index.js';
import type { Broker } from '../../support/broker.js';
import { temporaryDirectory } from '../../support/directory.js';
import { seeded } from '../../support/random.js';
import { framed, startRegistry } from '../../support/schema-registry.js';
import { matrixOf, startCli, stopCli } from '../../support/service.js';
import { client, json, makeTopic, produce, type SourceSettings } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const configOf = (
  broker: Broker,
  state: string,
  topic: string,
  source: SourceSettings = {},
  rest: PipelineOptions = {},
): PipelineOptions => ({
  state,
  semantics: { interactions: 'sum', weightScale: 1 },
  sources: [
    {
      type: 'kafka',
      brokers: [...broker.brokers],
      topics: [topic],
      group: topic,
      sessionTimeoutMs: 6000,
      batch: { waitMs: 50 },
      ...source,
    },
  ],
  gramian: { mode: 'stored' },
  deadLetters: { tolerance: 1000 },
  ...rest,
});

async function onState<T>(options: PipelineOptions, body: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await createPipeline(options, { log: silent });
  try {
    return await body(pipeline);
  } finally {
    await pipeline.close();
  }
}

/** Every message of a topic. */
async function messagesOf(broker: Broker, topic: string) {
  const consumer = client(broker).consumer({ groupId: `look-${topic}`, maxWaitTimeInMs: 100 });
  const admin = client(broker).admin();
  await admin.connect();
  const left = (await admin.fetchTopicOffsets(topic)).reduce(
    (sum, o) => sum + Number(o.high) - Number(o.low),
    0,
  );
  await admin.disconnect();
  const found: { key: string; value: Buffer; headers: Record<string, string> }[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>(done => {
    void consumer.run({
      eachMessage: async ({ message }) => {
        const headers = Object.entries(message.headers ?? {}).map(([name, x]) => [name, String(x)]);
        found.push({ key: String(message.key), value: message.value!, headers: Object.fromEntries(headers) });
        if (found.length === left) done();
      },
    });
  });
  await consumer.disconnect();
  return found;
}

await withBroker('Kafka into a state', {}, broker => {
  describe('poison among good records', () => {
    it('JSON: every good one is applied, every bad one is a dead letter with its position and reason', async () => {
      const topic = await makeTopic(broker(), 1, { 'max.message.bytes': String(12 * 2 ** 20) });
      const deadLetterTopic = `${topic}-dead`;
      const bad: [string, Buffer | string][] = [
        ['json-invalid', '{"user":"u","item":'],
        ['json-invalid', Buffer.from([0xff, 0xfe, 0x00, 0x01])],
        ['value-type', '[1'.slice(1)],
        ['user-type', '{"user":{"a":1},"item":"i"}'],
        ['item-missing', '{"user":"u"}'],
        ['weight-type', '{"user":"u","item":"i","weight":"much"}'],
        ['ts-invalid', '{"user":"u","item":"i","ts":"yesterday"}'],
        ['op-unknown', '{"user":"u","item":"i","op":"erase"}'],
        ['record-too-large', JSON.stringify({ user: 'u', item: 'i', padding: 'x'.repeat(10 * 2 ** 20) })],
      ];
      const messages = bad.flatMap(([, value], k) => [json({ user: `u${k}`, item: `i${k}` }), { value }]);
      for (const message of messages) await produce(broker(), topic, [message]);
      const options = configOf(broker(), temporaryDirectory(), topic, { deadLetterTopic });
      await onState(options, async pipeline => {
        expect(await pipeline.ingest()).toEqual({ events: bad.length, deadLetters: bad.length });
        await pipeline.fold();
        expect([...(await matrixOf(pipeline)).keys()]).toEqual(bad.map((_, k) => `u${k} i${k}`).sort());
        const letters = await pipeline.parts.store.deadLetters(100);
        expect(letters.map(d => [d.sequence, d.code]).sort((a, b) => Number(a[0]) - Number(b[0]))).toEqual(
          bad.map(([code], k) => [2 * k + 1, code]),
        );
      });
      const dead = await messagesOf(broker(), deadLetterTopic);
      expect(dead.map(d => [d.key, d.headers.code])).toEqual(
        bad.map(([code], k) => [`kafka/${topic}/0@${2 * k + 1}`, code]),
      );
      dead.forEach(({ value, headers }, k) => {
        const original = Buffer.from(bad[k]![1] as string);
        expect(value.equals(original.subarray(0, value.length))).toBe(true);
        if (headers.code !== 'record-too-large') expect(value.length).toBe(original.length);
        expect(headers).toMatchObject({
          partition: `${topic}/0`,
          offset: String(2 * k + 1),
          source: 'kafka',
        });
        expect(headers.reason).toMatch(/./);
      });
    });

    it('Avro: unknown schema ids and truncated values', async () => {
      const schema = {
        type: 'record',
        name: 'E',
        fields: ['user', 'item'].map(name => ({ name, type: 'string' })),
      };
      const registry = await startRegistry({ 1: { schema: JSON.stringify(schema) } });
      try {
        const topic = await makeTopic(broker());
        const good = Buffer.from([2, 117, 4, 105, 49]); // "u", "i1"
        const values = [
          framed(1, good),
          framed(7, good),
          framed(1, good.subarray(0, 3)),
          good,
          framed(1, good),
        ];
        await produce(
          broker(),
          topic,
          values.map(value => ({ value })),
        );
        const source = { format: 'avro', registry: { url: registry.url } } as const;
        await onState(configOf(broker(), temporaryDirectory(), topic, source), async pipeline => {
          expect(await pipeline.ingest()).toEqual({ events: 2, deadLetters: 3 });
          const letters = await pipeline.parts.store.deadLetters(10);
          expect(letters.map(d => d.code).sort()).toEqual([
            'avro-invalid',
            'avro-unframed',
            'schema-unknown',
          ]);
          await pipeline.fold();
          expect(await matrixOf(pipeline)).toEqual(new Map([['u i1', 2]]));
        });
      } finally {
        await registry.stop();
      }
    });
  });

  it('takes producer duplicates once, and disorder settles to the state of the ordered events', async () => {
    const random = seeded(3);
    const events = Array.from({ length: 300 }, (_, n) => ({
      user: `u${Math.floor(random() * 9)}`,
      item: `i${Math.floor(random() * 7)}`,
      op: (['add', 'add', 'remove', 'set'] as const)[Math.floor(random() * 4)]!,
      weight: 1 + Math.floor(random() * 3),
      ts: 1000 + n,
      id: `e${n}`,
    }));
    const shuffled = [...events, ...events.filter(() => random() < 0.4)].sort(() => random() - 0.5);
    const matrices = [];
    for (const sent of [events, shuffled]) {
      const topic = await makeTopic(broker(), 3);
      await produce(
        broker(),
        topic,
        sent.map(e => json(e, { key: e.user })),
      );
      const semantics = { interactions: 'last', weightScale: 1 } as const;
      const options = configOf(broker(), temporaryDirectory(), topic, {}, { semantics });
      matrices.push(
        await onState(options, async pipeline => {
          await pipeline.ingest();
          await pipeline.fold();
          expect(await pipeline.verify()).toMatchObject({ differing: 0, mode: 'stored' });
          return matrixOf(pipeline);
        }),
      );
    }
    expect(matrices[0]!.size).toBeGreaterThan(10);
    expect(matrices[1]).toEqual(matrices[0]);
  });

  it('retracts what a tombstone names', async () => {
    const topic = await makeTopic(broker());
    await produce(broker(), topic, [
      json({ user: 'u', item: 'a' }, { key: 'u|a' }),
      json({ user: 'u', item: 'b' }, { key: 'u|b' }),
      { key: 'u|a', value: null },
    ]);
    await onState(
      configOf(broker(), temporaryDirectory(), topic, { key: { separator: '|' } }),
      async pipeline => {
        await pipeline.ingest();
        await pipeline.fold();
        expect(await matrixOf(pipeline)).toEqual(new Map([['u b', 1]]));
      },
    );
  });

  it.each(['ingest:read', 'ingest:appended#2', 'ingest:committed', 'ingest:acknowledged'])(
    'loses and repeats nothing when the process dies at %s',
    async point => {
      const topic = await makeTopic(broker(), 2);
      const events = Array.from({ length: 200 }, (_, k) => ({ user: `u${k % 20}`, item: `i${k % 30}` }));
      await produce(
        broker(),
        topic,
        events.map(e => json(e, { key: e.user })),
      );
      const directory = temporaryDirectory();
      const options = configOf(broker(), join(directory, 'state'), topic, {
        batch: { records: 30, waitMs: 50 },
      });
      const config = join(directory, 'pipeline.yaml');
      writeFileSync(config, JSON.stringify(options));
      const dead = startCli(['ingest', '-c', config], { SANSA_STREAM_CRASH_AT: point });
      expect(await dead.ended, dead.errors()).toEqual({ code: null, signal: 'SIGKILL' });
      await onState(options, async pipeline => {
        await pipeline.ingest();
        await pipeline.fold();
        const expected = new Map<string, number>();
        for (const { user, item } of events)
          expected.set(`${user} ${item}`, (expected.get(`${user} ${item}`) ?? 0) + 1);
        expect(await matrixOf(pipeline)).toEqual(new Map([...expected].sort()));
      });
    },
  );
});

await withBroker('a broker that goes away', { own: true }, broker => {
  it('is waited for, and nothing is lost or repeated', { timeout: 180_000 }, async () => {
    const topic = await makeTopic(broker(), 2);
    const directory = temporaryDirectory();
    const options = configOf(
      broker(),
      join(directory, 'state'),
      topic,
      {},
      { schedule: { pollMs: 100 }, log: { level: 'debug' } },
    );
    const config = join(directory, 'pipeline.yaml');
    writeFileSync(config, JSON.stringify(options));
    const send = (round: number) =>
      produce(
        broker(),
        topic,
        Array.from({ length: 50 }, (_, k) => json({ user: `u${k}`, item: `i${round}` }, { key: `u${k}` })),
      );
    const service = startCli(['run', '-c', config]);
    await send(0);
    await service.logged('batch ingested', line => Number(line.events) > 0);
    for (const how of ['clean', 'hard'] as const) {
      await broker().restart(how);
      await send(how === 'clean' ? 1 : 2);
    }
    const last = () =>
      service.log().reduce((sum, line) => sum + (line.msg === 'batch ingested' ? Number(line.events) : 0), 0);
    await service.logged('batch ingested', () => last() === 150);
    expect(await stopCli(service), service.errors()).toMatchObject({ code: 0 });
    await onState(options, async pipeline => {
      expect(await pipeline.ingest()).toEqual({ events: 0, deadLetters: 0 });
      await pipeline.fold();
      const matrix = await matrixOf(pipeline);
      expect(matrix.size).toBe(150);
      expect([...matrix.values()].every(x => x === 1)).toBe(true);
    });
  });

  it('is one clear error for a command', async () => {
    const options = configOf(broker(), temporaryDirectory(), 't', {
      brokers: '127.0.0.1:9',
      connectionTimeoutMs: 500,
    });
    await expect(onState(options, p => p.ingest())).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringMatching(/^source kafka: [^\n]*127\.0\.0\.1:9[^\n]*$/),
    });
  });
});
