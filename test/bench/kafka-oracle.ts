/** What the chaos events are, what a topic holds of them, and what states made of them. */
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { loadConfig, openPipeline, openSegment, readColumns } from '../../jobs/index.js';
import type { Broker } from '../support/broker.js';

/** Items in all, and events of each user. */
export const items = 1009;
export const perUser = 40;

/** A client that gives up soon. */
export const client = (broker: Broker) =>
  new Kafka({
    brokers: [...broker.brokers],
    logLevel: logLevel.NOTHING,
    retry: { retries: 3, maxRetryTime: 1000 },
  });

/** Event n: user n / perUser, and an item that the user has in no other event. */
export const userOf = (n: number): number => Math.floor(n / perUser);
export const itemOf = (n: number): number => (userOf(n) * 7 + (n % perUser) * 13) % items;

/** How often the topic holds each event: a producer that heard no answer wrote it again. */
export async function contents(broker: Broker, topic: string, events: number): Promise<Uint8Array> {
  const kafka = client(broker);
  const admin = kafka.admin();
  await admin.connect();
  const ends = (await admin.fetchTopicOffsets(topic)).map(o => Number(o.high));
  await admin.disconnect();
  const counts = new Uint8Array(events);
  const consumer = kafka.consumer({ groupId: `contents-${topic}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let left = ends.reduce((sum, end) => sum + end, 0);
  await new Promise<void>((done, fail) => {
    consumer
      .run({
        eachBatch: async ({ batch }) => {
          for (const { value } of batch.messages)
            counts[(JSON.parse(value!.toString()) as { n: number }).n]!++;
          left -= batch.messages.length;
          if (left <= 0) done();
        },
      })
      .catch(fail);
  });
  await consumer.disconnect();
  return counts;
}

/** Adds what a state applied to `applied` (by event) and its Gramian to `sum` (dense, by item). */
export async function collect(config: string, applied: Uint8Array, sum: Float64Array): Promise<void> {
  const pipeline = await openPipeline(loadConfig(config));
  try {
    const { store, directory } = pipeline.parts;
    const keys = (await store.itemKeys()).map(key => Number(key.slice(1)));
    // The k-th event of a user is found by its item.
    for await (const { keys: users, rows } of store.histories(5000)) {
      users.forEach((user, r) => {
        const u = Number(user.slice(1));
        const place = new Map(Array.from({ length: perUser }, (_, k) => [itemOf(u * perUser + k), k]));
        for (let e = rows.indptr[r]!; e < rows.indptr[r + 1]!; e++)
          applied[u * perUser + place.get(keys[rows.indices[e]!]!)!]! += rows.values?.[e] ?? 1;
      });
    }
    for (const { file } of await store.segments()) {
      const segment = openSegment(join(directory, 'gramian', file));
      const { lengths, indices, values } = readColumns(segment, 0, segment.n);
      for (let j = 0, e = 0; j < segment.n; j++) {
        for (const end = e + lengths[j]!; e < end; e++)
          sum[keys[indices[e]!]! * items + keys[j]!]! += values[e]!;
      }
      segment.close();
    }
  } finally {
    await pipeline.close();
  }
}

/** XᵀX of what the topic holds, dense. */
export function gramianOf(counts: Uint8Array): Float64Array {
  const sum = new Float64Array(items * items);
  for (let first = 0; first < counts.length; first += perUser) {
    for (let a = first; a < first + perUser; a++) {
      for (let b = first; b < first + perUser; b++)
        sum[itemOf(a) * items + itemOf(b)]! += counts[a]! * counts[b]!;
    }
  }
  return sum;
}
