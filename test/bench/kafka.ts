import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { createPipeline } from '../../jobs/index.js';
import { type Broker, startBroker } from '../support/broker.js';
import { type BenchOptions, median } from './environment.js';
import { listsPerSecond } from './kafka-lists.js';

const topic = 'events';
const partitions = 8;
const events = 1_000_000;
const users = 50_000;

const client = (broker: Broker) => new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING });

/** A million interactions as producers of web shops write them. */
async function fill(broker: Broker): Promise<void> {
  const kafka = client(broker);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] });
  await admin.disconnect();
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const size = 10_000;
  for (let from = 0; from < events; from += size) {
    const messages = Array.from({ length: size }, (_, k) => {
      const n = from + k;
      const user = `user-${(n * 7919) % users}`;
      const value = JSON.stringify({
        user,
        item: `sku-${(n * 104729) % 20_011}`,
        weight: 1,
        ts: 1_700_000_000_000 + n,
      });
      return { key: user, value };
    });
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

/** Seconds that a consumer takes which parses the JSON and does nothing; it fetches as the source does. */
async function bare(broker: Broker): Promise<number> {
  const consumer = client(broker).consumer({
    groupId: randomUUID(),
    maxWaitTimeInMs: 250,
    maxBytes: 32 * 2 ** 20,
  });
  const started = performance.now();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let seen = 0;
  let users = 0;
  const seconds = await new Promise<number>((done, fail) => {
    consumer
      .run({
        eachBatch: async ({ batch }) => {
          for (const { value } of batch.messages) {
            const event = JSON.parse(value!.toString()) as { user: string };
            users += event.user.length;
          }
          seen += batch.messages.length;
          if (seen >= events) done((performance.now() - started) / 1000);
        },
      })
      .catch(fail);
  });
  await consumer.disconnect();
  if (users === 0) throw new Error('expected events');
  return seconds;
}

/** Seconds until every event is durable in the inbox of a new state. */
async function ours(broker: Broker): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-kafka-'));
  const pipeline = await createPipeline({
    state: directory,
    sources: [{ type: 'kafka', brokers: [...broker.brokers], topics: [topic], group: randomUUID() }],
  });
  try {
    let seconds = 0;
    const started = performance.now();
    const { events: taken } = await pipeline.ingest(undefined, total => {
      if (total === events) seconds = (performance.now() - started) / 1000;
    });
    if (taken !== events) throw new Error(`expected ${events} events, found ${taken}`);
    return seconds;
  } finally {
    await pipeline.close();
    rmSync(directory, { recursive: true });
  }
}

/**
 * Events a second from a topic into the durable inbox, beside a bare consumer of the same topic in the same run; and
 * lists a second into topics.
 */
export async function benchKafka({ runs, log }: BenchOptions): Promise<object> {
  const broker = await startBroker({ own: true, heapMiB: 1024 });
  try {
    await fill(broker);
    const measured = [];
    for (let run = 0; run < runs; run++) {
      const [bareSeconds, seconds] = [await bare(broker), await ours(broker)];
      const lists = await listsPerSecond(broker);
      const m = {
        eventsPerSecond: events / seconds,
        barePerSecond: events / bareSeconds,
        ratio: bareSeconds / seconds,
        listsPerSecond: lists.first,
        listsPerSecondAgain: lists.next,
      };
      measured.push(m);
      log(
        `${Math.round(m.eventsPerSecond)} events/s, a bare consumer ${Math.round(m.barePerSecond)}: ${m.ratio.toFixed(2)}; ${m.listsPerSecond} lists/s, over others ${m.listsPerSecondAgain}`,
      );
    }
    return {
      events,
      partitions,
      runs,
      eventsPerSecond: median(measured.map(m => m.eventsPerSecond)),
      barePerSecond: median(measured.map(m => m.barePerSecond)),
      ratioToBareConsumer: median(measured.map(m => m.ratio)),
      listsPerSecond: median(measured.map(m => m.listsPerSecond)),
      listsPerSecondAgain: median(measured.map(m => m.listsPerSecondAgain)),
      measured,
    };
  } finally {
    await broker.stop();
  }
}
