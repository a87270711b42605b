/** Topics, messages and sources for the Kafka tests. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel, type Message } from 'kafkajs';
import { registerCodecs } from '#connectors/kafka/codecs.js';
import { kafkaSourceOptions } from '#connectors/kafka/options.js';
import { createKafkaSource } from '#connectors/kafka/source.js';
import { openTail } from '#connectors/kafka/tail.js';
import type { Position, RecordBatch, Source } from '#src/contracts/index.js';
import type { Broker } from './broker.js';

/** A client of the broker's open listener. */
export function client(broker: Broker): Kafka {
  registerCodecs();
  return new Kafka({ brokers: [...broker.open], clientId: 'tests', logLevel: logLevel.NOTHING });
}

/** Makes a topic under a new name. */
export async function makeTopic(
  broker: Broker,
  partitions = 1,
  config: Readonly<Record<string, string>> = {},
): Promise<string> {
  const topic = `t-${randomUUID()}`;
  const admin = client(broker).admin();
  await admin.connect();
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
  await admin.disconnect();
  return topic;
}

/** Produces messages as they are. */
export async function produce(broker: Broker, topic: string, messages: readonly Message[]): Promise<void> {
  // A new topic may refuse some partitions at first: only an idempotent producer then writes the others once.
  const producer = client(broker).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let from = 0; from < messages.length; from += 5000)
    await producer.send({ topic, messages: messages.slice(from, from + 5000) });
  await producer.disconnect();
}

export const json = (value: unknown, rest: Partial<Message> = {}): Message => ({
  value: JSON.stringify(value),
  ...rest,
});

export type SourceSettings = Partial<Parameters<typeof kafkaSourceOptions.parse>[0] & object>;

/** A source over topics, with a group of its own unless `settings` name one. */
export function sourceOn(broker: Broker, topics: readonly string[], settings: SourceSettings = {}): Source {
  const options = {
    type: 'kafka',
    brokers: [...broker.brokers],
    topics: [...topics],
    group: randomUUID(),
    sessionTimeoutMs: 6000,
    batch: { waitMs: 50 },
    ...settings,
  };
  return createKafkaSource(kafkaSourceOptions.parse(options));
}

/** Everything that a source gives until it has no more: its batches, the positions behind them, its warnings. */
export async function drain(source: Source, from: readonly Position[] = [], state = 'state') {
  const batches: RecordBatch[] = [];
  const positions = new Map(from.map(p => [p.partition, p]));
  const warnings: string[] = [];
  let reads = 0;
  try {
    await source.connect(from, state);
    for (;;) {
      const read = await source.read();
      warnings.push(...(source.warnings?.() ?? []));
      if (!read) break;
      reads++;
      for (const { records, position } of read.batches) {
        batches.push(records);
        positions.set(position.partition, position);
      }
      await read.ack();
    }
  } finally {
    await source.close();
  }
  const rows = batches.flatMap(b =>
    Array.from({ length: b.length }, (_, k) => ({
      at: `${b.partition.split('/')[1]}@${b.sequence[k]}`,
      user: b.user[k],
      item: b.item[k],
      weight: b.weight?.[k],
      op: b.op?.[k],
      ts: b.ts?.[k],
      id: b.id?.[k],
      rejected: b.rejected?.get(k),
      raw: b.raw(k),
    })),
  );
  return { rows, positions: [...positions.values()], warnings, reads };
}

/** Every committed record of a topic, oldest first within a partition. */
export async function readTopic(broker: Broker, topic: string) {
  const records: {
    key: string | undefined;
    value: string | null;
    headers: Record<string, string | undefined>;
  }[] = [];
  const tail = await openTail(
    client(broker),
    { group: 'tests', where: topic },
    new Map([[topic, undefined]]),
    {
      record: ({ message: { key, value, headers = {} } }) =>
        records.push({
          key: key?.toString(),
          value: value?.toString() ?? null,
          headers: Object.fromEntries(Object.entries(headers).map(([name, v]) => [name, v?.toString()])),
        }),
    },
  );
  await tail.caughtUp().finally(() => tail.close());
  return records;
}
