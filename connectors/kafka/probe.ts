import type { PartitionEnd } from '../../src/contracts/index.js';
import { createProbe, type Probe } from '../../src/runtime/probe.js';
import { type Admin, type Kafka, kafkaError } from './client.js';
import type { KafkaSourceOptions } from './options.js';
import { owns, parseShard } from './shards.js';

/** A probe that asks the brokers by an admin client. */
export const probeBrokers = <T>(kafka: Kafka, where: string, ask: (admin: Admin) => Promise<T>): Probe<T> =>
  createProbe({
    async open() {
      const admin = kafka.admin({ retry: { retries: 0 } });
      await admin.connect();
      return admin;
    },
    ask: admin =>
      ask(admin).catch(error => {
        throw kafkaError(error, where);
      }),
    close: admin => admin.disconnect(),
  });

/** Asks where the partitions of a source's shard end. */
export const probeSource = (kafka: Kafka, options: KafkaSourceOptions): Probe<readonly PartitionEnd[]> =>
  probeBrokers(kafka, `source ${options.name}`, async admin => {
    const shard = parseShard(options.shard);
    const topics = await Promise.all(
      options.topics.map(async topic => ({ topic, offsets: await admin.fetchTopicOffsets(topic) })),
    );
    return topics.flatMap(({ topic, offsets }) =>
      offsets
        .filter(({ partition }) => owns(shard, partition))
        .map(({ partition, high }) => ({ partition: `${topic}/${partition}`, end: Number(high) - 1 })),
    );
  });
