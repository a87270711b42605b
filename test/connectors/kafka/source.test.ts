/**
 * The Kafka source over a real broker:
 * - every record once, from the state's positions and not the group's, over codecs, transactions, gaps and pauses;
 * - what retention deleted is refused or recorded, never passed over in silence;
 * - what would split or mix histories (another state in the group, other shards, other partitions) is refused.
 */
import { CompressionTypes } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { client, drain, json, makeTopic, produce, sourceOn } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const events = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, k) => {
    const user = `u${(from + k) % 7}`;
    return json({ user, item: `i${from + k}` }, { key: user });
  });
const items = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, k) => `i${from + k}`).sort();
const taken = ({ rows }: Awaited<ReturnType<typeof drain>>) => rows.map(r => String(r.item)).sort();

await withBroker('the Kafka source', {}, broker => {
  it('gives every record once, and goes on behind the positions of the state', async () => {
    const topic = await makeTopic(broker(), 3);
    const group = `g-${topic}`;
    await produce(broker(), topic, events(0, 100));
    const first = await drain(sourceOn(broker(), [topic], { group }));
    expect(taken(first)).toEqual(items(0, 100));
    expect(new Set(first.rows.map(r => r.at)).size).toBe(first.rows.length);
    expect(first.warnings).toEqual([]);
    await produce(broker(), topic, events(100, 150));
    const second = await drain(sourceOn(broker(), [topic], { group }), first.positions);
    expect(taken(second)).toEqual(items(100, 150));
    expect(taken(await drain(sourceOn(broker(), [topic], { group }), second.positions))).toEqual([]);
    // What the group has committed says nothing: the state that lost its last batch gets it again.
    expect(taken(await drain(sourceOn(broker(), [topic], { group }), first.positions))).toEqual(
      items(100, 150),
    );
  });

  it('reads several topics, in batches no larger than they may be', async () => {
    const topics = [await makeTopic(broker(), 2), await makeTopic(broker(), 1)];
    await produce(broker(), topics[0]!, events(0, 60));
    await produce(broker(), topics[1]!, events(60, 100));
    const found = await drain(sourceOn(broker(), topics, { batch: { records: 8, waitMs: 50 } }));
    expect(taken(found)).toEqual(items(0, 100));
    expect(found.reads).toBeGreaterThanOrEqual(13);
    const bytes = await drain(sourceOn(broker(), topics, { batch: { bytes: 1, waitMs: 50 } }));
    expect(taken(bytes)).toEqual(items(0, 100));
    expect(bytes.reads).toBeGreaterThanOrEqual(100);
  });

  it('holds the broker up while nobody reads, and keeps its place in the group', async () => {
    const topic = await makeTopic(broker(), 2);
    await produce(broker(), topic, events(0, 40));
    const source = sourceOn(broker(), [topic], { batch: { records: 5, waitMs: 20 }, heartbeatMs: 300 });
    const seen: string[] = [];
    await source.connect([], 'state');
    try {
      for (let pauses = 0; seen.length < 40; ) {
        const read = await source.read();
        for (const { records } of read?.batches ?? [])
          for (let k = 0; k < records.length; k++) seen.push(String(records.item[k]));
        // Longer than a session: without heartbeats the group would be lost, with records unread.
        if (pauses++ < 1) await new Promise(done => setTimeout(done, 7000));
        await read?.ack();
      }
    } finally {
      await source.close();
    }
    expect([...seen].sort()).toEqual(items(0, 40));
  });

  it.each(['gzip', 'snappy', 'lz4', 'zstd'])('reads what Java and we compress with %s', async codec => {
    const topic = await makeTopic(broker(), 1, { 'compression.type': codec });
    await produce(broker(), topic, events(0, 3000));
    expect(taken(await drain(sourceOn(broker(), [topic])))).toEqual(items(0, 3000));
    const ours = await makeTopic(broker());
    const producer = client(broker()).producer();
    await producer.connect();
    const compression = {
      gzip: CompressionTypes.GZIP,
      snappy: CompressionTypes.Snappy,
      lz4: CompressionTypes.LZ4,
      zstd: CompressionTypes.ZSTD,
    }[codec]!;
    await producer.send({ topic: ours, messages: events(0, 3000), compression });
    await producer.disconnect();
    expect(taken(await drain(sourceOn(broker(), [ours])))).toEqual(items(0, 3000));
  });

  it('leaves aborted transactions out and passes their markers', async () => {
    const topic = await makeTopic(broker());
    const producer = client(broker()).producer({
      transactionalId: topic,
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    for (const [k, ends] of (['commit', 'abort', 'commit', 'abort'] as const).entries()) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: events(10 * k, 10 * k + 10) });
      await transaction[ends]();
    }
    await producer.disconnect();
    const found = await drain(sourceOn(broker(), [topic]));
    expect(taken(found)).toEqual([...items(0, 10), ...items(20, 30)].sort());
    expect(found.positions).toMatchObject([{ sequence: 43 }]);
    expect(taken(await drain(sourceOn(broker(), [topic]), found.positions))).toEqual([]);
  });

  it('starts at the end when told to, and remembers where that was', async () => {
    const topic = await makeTopic(broker(), 2);
    await produce(broker(), topic, events(0, 10));
    const settings = { start: 'latest', group: `g-${topic}` } as const;
    const first = await drain(sourceOn(broker(), [topic], settings));
    expect(first.rows).toEqual([]);
    expect(first.positions).toHaveLength(2);
    await produce(broker(), topic, events(10, 20));
    expect(taken(await drain(sourceOn(broker(), [topic], settings), first.positions))).toEqual(items(10, 20));
  });

  it('says which users come in two partitions', async () => {
    const topic = await makeTopic(broker(), 2);
    const messages = Array.from({ length: 40 }, (_, k) =>
      json({ user: `u${k % 4}`, item: 'i' }, { partition: k % 2 }),
    );
    const astray = messages.map((m, k) => ({ ...m, partition: (k >> 2) % 2 }));
    await produce(broker(), topic, messages);
    expect((await drain(sourceOn(broker(), [topic]))).warnings).toEqual([]);
    await produce(broker(), topic, astray);
    const { warnings } = await drain(sourceOn(broker(), [topic]));
    expect(warnings).toEqual([
      expect.stringMatching(/^4 users have events in more than one partition \(user "u\d"/),
    ]);
  });

  describe('records that retention deleted', () => {
    const cut = async (topic: string, offset: number) => {
      const admin = client(broker()).admin();
      await admin.connect();
      await admin.fetchTopicOffsets(topic); // kafkajs deletes only where it knows the leader
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
      await admin.disconnect();
    };

    it('before the start: refused, or recorded and passed', async () => {
      const topic = await makeTopic(broker());
      const group = `g-${topic}`;
      await produce(broker(), topic, events(0, 10));
      const first = await drain(sourceOn(broker(), [topic], { group }));
      await produce(broker(), topic, events(10, 30));
      await cut(topic, 25);
      await expect(drain(sourceOn(broker(), [topic], { group }), first.positions)).rejects.toMatchObject({
        code: 'RECORDS_LOST',
        message: `source kafka: ${topic}/0: records 10 to 24 were deleted by retention before they were taken`,
      });
      const reset = await drain(
        sourceOn(broker(), [topic], { group, onLostRecords: 'reset' }),
        first.positions,
      );
      expect(reset.rows[0]).toMatchObject({ at: '0@24', rejected: { code: 'records-lost' } });
      expect(reset.rows.slice(1).map(r => r.item)).toEqual(items(25, 30));
      expect(reset.warnings).toEqual([expect.stringMatching(/records 10 to 24 were deleted/)]);
    });

    it('while it reads: the same', async () => {
      const topic = await makeTopic(broker());
      await produce(broker(), topic, events(0, 100));
      for (const onLostRecords of ['refuse', 'reset'] as const) {
        const source = sourceOn(broker(), [topic], {
          batch: { records: 5, waitMs: 20 },
          heartbeatMs: 200,
          onLostRecords,
        });
        const seen: unknown[] = [];
        let failure: unknown;
        await source.connect([], 'state');
        try {
          while (!seen.includes('i99')) {
            const read = await source.read();
            for (const { records } of read?.batches ?? [])
              for (let k = 0; k < records.length; k++)
                seen.push(records.rejected?.get(k)?.code ?? records.item[k]);
            if (seen.length === 5) {
              await new Promise(done => setTimeout(done, 1000)); // fetching has been paused
              await cut(topic, onLostRecords === 'refuse' ? 50 : 80);
            }
            await read?.ack();
          }
        } catch (error) {
          failure = error;
        } finally {
          await source.close();
        }
        if (onLostRecords === 'refuse') expect(failure).toMatchObject({ code: 'RECORDS_LOST' });
        else {
          expect(failure).toBeUndefined();
          expect(seen).toContain('records-lost');
          expect(seen.slice(-20)).toEqual(items(80, 100));
        }
      }
    });

    it('and a topic made anew under an old name is refused', async () => {
      const topic = await makeTopic(broker());
      await produce(broker(), topic, events(0, 3));
      const positions = [{ partition: `${topic}/0`, sequence: 9, token: '{"partitions":1,"shard":"0/1"}' }];
      await expect(drain(sourceOn(broker(), [topic]), positions)).rejects.toMatchObject({
        code: 'STATE_MISMATCH',
        message: expect.stringMatching(/ends at offset 3, this state has taken 10/),
      });
    });
  });

  describe('shards', () => {
    it('take their partitions and no others, whoever else is there', async () => {
      const topic = await makeTopic(broker(), 8);
      const group = `g-${topic}`;
      await produce(broker(), topic, events(0, 200));
      const shards = [0, 1, 2].map(s => sourceOn(broker(), [topic], { group, shard: `${s}/3` }));
      const found = await Promise.all(shards.map((source, s) => drain(source, [], `state-${s}`)));
      expect(found.flatMap(taken).sort()).toEqual(items(0, 200));
      found.forEach(({ positions }, s) => {
        expect(positions.map(p => Number(p.partition.split('/')[1]) % 3)).toEqual(positions.map(() => s));
      });
      // One that is alone takes no more than its own.
      await produce(broker(), topic, events(200, 260));
      const alone = await drain(
        sourceOn(broker(), [topic], { group, shard: '1/3' }),
        found[1]!.positions,
        'state-1',
      );
      expect(alone.rows.every(r => Number(r.at.split('@')[0]) % 3 === 1)).toBe(true);
    });

    it('are refused in another number, and so are other partitions', async () => {
      const topic = await makeTopic(broker(), 4);
      await produce(broker(), topic, events(0, 20));
      const { positions } = await drain(sourceOn(broker(), [topic], { shard: '0/2' }));
      const mismatch = (message: RegExp) => ({
        code: 'STATE_MISMATCH',
        message: expect.stringMatching(message),
      });
      await expect(drain(sourceOn(broker(), [topic], { shard: '0/4' }), positions)).rejects.toMatchObject(
        mismatch(/made with shard 0\/2, found 0\/4: .* start new state directories/),
      );
      const admin = client(broker()).admin();
      await admin.connect();
      await admin.createPartitions({ topicPartitions: [{ topic, count: 6 }] });
      await admin.disconnect();
      await expect(drain(sourceOn(broker(), [topic], { shard: '0/2' }), positions)).rejects.toMatchObject(
        mismatch(/made with a number of partitions of 4, found 6/),
      );
    });
  });

  describe('another state in the same group', () => {
    it('is refused when the group has been consumed for the first, unless it is asked to take over', async () => {
      const topic = await makeTopic(broker(), 2);
      const group = `g-${topic}`;
      await produce(broker(), topic, events(0, 10));
      await drain(sourceOn(broker(), [topic], { group }), [], 'first');
      await expect(drain(sourceOn(broker(), [topic], { group }), [], 'second')).rejects.toMatchObject({
        code: 'GROUP_TAKEN',
        message: expect.stringMatching(/is consumed for the state first, this state is second/),
      });
      const adopted = await drain(sourceOn(broker(), [topic], { group, adoptGroup: true }), [], 'second');
      expect(taken(adopted)).toEqual(items(0, 10));
      await expect(drain(sourceOn(broker(), [topic], { group }), [], 'first')).rejects.toMatchObject({
        code: 'GROUP_TAKEN',
      });
    });

    it('is refused while the first one lives, however it came in', async () => {
      const topic = await makeTopic(broker(), 4);
      const group = `g-${topic}`;
      await produce(broker(), topic, events(0, 10));
      const [first, second] = [
        sourceOn(broker(), [topic], { group }),
        sourceOn(broker(), [topic], { group, shard: '1/2', adoptGroup: true }),
      ];
      await first.connect([], 'first');
      try {
        expect((await first.read())!.batches.length).toBeGreaterThan(0);
        await expect(drain(second, [], 'second')).rejects.toMatchObject({
          code: 'GROUP_TAKEN',
          message: expect.stringMatching(
            /for the state first \(shard 0\/1\), this state is second \(shard 1\/2\)/,
          ),
        });
        await produce(broker(), topic, events(10, 30));
        const seen: unknown[] = [];
        while (seen.length < 20) {
          for (const { records } of (await first.read())?.batches ?? [])
            for (let k = 0; k < records.length; k++)
              if (Number(String(records.item[k]).slice(1)) >= 10) seen.push(records.item[k]);
        }
        expect(seen.sort()).toEqual(items(10, 30));
      } finally {
        await first.close();
      }
    });
  });

  it('names what is missing', async () => {
    await expect(drain(sourceOn(broker(), ['no-such-topic']))).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: 'source kafka: topic no-such-topic: expected it to exist, found none',
    });
    const nobody = sourceOn(broker(), ['t'], { brokers: ['127.0.0.1:9'], connectionTimeoutMs: 500 });
    await expect(drain(nobody)).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE', retryable: true });
  });
});
