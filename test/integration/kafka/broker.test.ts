/** The broker of the tests is a real one, of both lines of versions: it keeps what it has over restarts of both kinds. */
import { Kafka, logLevel } from 'kafkajs';
import { expect, it } from 'vitest';
import { withBroker } from '../../support/with-broker.js';

for (const version of ['3.9', '4']) {
  await withBroker(`a broker of line ${version}`, { version }, broker => {
    it('keeps its messages over a clean and a hard restart', { timeout: 120_000 }, async () => {
      const kafka = new Kafka({ brokers: [...broker().brokers], logLevel: logLevel.NOTHING });
      const admin = kafka.admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }] });
      const producer = kafka.producer();
      for (const [round, how] of (['clean', 'hard'] as const).entries()) {
        await producer.connect();
        await producer.send({ topic: 'kept', messages: [{ key: 'k', value: `v${round}`, partition: 1 }] });
        await producer.disconnect();
        await broker().restart(how);
      }
      const offsets = await admin.fetchTopicOffsets('kept');
      expect(offsets.map(o => [o.partition, o.high]).sort()).toEqual([
        [0, '0'],
        [1, '2'],
      ]);
      await admin.disconnect();
    });
  });
}
