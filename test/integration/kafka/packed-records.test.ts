/** Records that we encode ourselves are read by a consumer as they were meant, in every compression and when sent again. */
import kafkajs, { type KafkaMessage } from 'kafkajs';
import { expect, it } from 'vitest';
import { partitionOf } from '#connectors/kafka/murmur2.js';
import { type KeyedRecord, packRecords } from '#connectors/kafka/packed-records.js';
import { openTail } from '#connectors/kafka/tail.js';
import { seeded } from '../../support/random.js';
import { client, makeTopic } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const { None, GZIP, Snappy, LZ4, ZSTD } = kafkajs.CompressionTypes;
const partitions = 3;

await withBroker('packed records', {}, broker => {
  it.each([
    ['none', None],
    ['gzip', GZIP],
    ['snappy', Snappy],
    ['lz4', LZ4],
    ['zstd', ZSTD],
  ] as const)('with compression %s', async (_, compression) => {
    const random = seeded(3);
    const sizes = [0, 1, 62, 63, 64, 127, 128, 5000, 8191, 8192];
    const records: KeyedRecord[] = Array.from({ length: 300 }, (_, k) => ({
      id: Buffer.from(`${'ü'.repeat(sizes[k % 7]!)}-${k}`),
      value: k % 11 === 0 ? null : Buffer.alloc(sizes[Math.floor(random() * sizes.length)]!, k),
    }));
    const topic = await makeTopic(broker(), partitions);
    const producer = client(broker()).producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const packed = packRecords(records, partitions, ['model-version', 'v1-é']);
    for (let sent = 0; sent < 2; sent++) {
      const answers = await producer.send({ topic, messages: packed.messages, compression });
      for (const { partition, baseOffset } of answers)
        expect(Number(baseOffset)).toBe(sent * packed.sizes.get(partition)!);
    }
    await producer.disconnect();

    const found: { readonly partition: number; readonly message: KafkaMessage }[] = [];
    const tail = await openTail(
      client(broker()),
      { group: 'tests', where: topic },
      new Map([[topic, undefined]]),
      {
        record: record => found.push(record),
      },
    );
    await tail.caughtUp().finally(() => tail.close());
    expect(found).toHaveLength(2 * records.length);
    for (let p = 0; p < partitions; p++) {
      const expected = records.filter(r => partitionOf(r.id, partitions) === p);
      const here = found.filter(f => f.partition === p).map(f => f.message);
      expect(here.map(m => [m.key, m.value])).toEqual(
        [...expected, ...expected].map(({ id, value }) => [id, value]),
      );
      for (const { headers } of here) expect(headers!['model-version']!.toString()).toBe('v1-é');
    }
  });
});
