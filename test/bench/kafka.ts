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
/** The same interactions among others, as trackers write them: flat, with a type. */
const mixed = 'tracked';
const types = ['view', 'view', 'cart', 'buy', 'page'] as const;
/** A mapping of tables and conditions; one type of five is of no interest. */
const mapping = {
  where: "value.type in ['view', 'cart', 'buy']",
  fields: {
    user: ['account', 'visitor'],
    item: 'item',
    weight: { from: 'type', map: { view: 1, cart: 3, buy: 5 }, otherwise: 'skip' },
  },
} as const;
const partitions = 8;
const events = 1_000_000;
const users = 50_000;

const client = (broker: Broker) => new Kafka({ brokers: [...broker.brokers], logLevel: logLevel.NOTHING });

const userOf = (n: number): string => `user-${(n * 7919) % users}`;
const itemOf = (n: number): string => `sku-${(n * 104729) % 20_011}`;
const plainEvent = (n: number) => ({
  user: userOf(n),
  item: itemOf(n),
  weight: 1,
  ts: 1_700_000_000_000 + n,
});
/** Half of the users have no account. */
const trackedEvent = (n: number) => ({
  type: types[n % types.length],
  ...(n % 2 ? { account: userOf(n) } : { visitor: userOf(n) }),
  item: itemOf(n),
  ts: 1_700_000_000_000 + n,
});

/** A million events as producers of web shops write them. */
async function fill(broker: Broker, topic: string, eventOf: (n: number) => object): Promise<void> {
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
      return { key: userOf(n), value: JSON.stringify(eventOf(n)) };
    });
    await producer.send({ topic, messages });
  }
  await producer.disconnect();
}

/** Seconds that a consumer takes which parses the JSON and does nothing; it fetches as the source does. */
async function bare(broker: Broker, topic: string): Promise<number> {
  const consumer = client(broker).consumer({
    groupId: randomUUID(),
    maxWaitTimeInMs: 250,
    maxBytes: 32 * 2 ** 20,
  });
  const started = performance.now();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  let seen = 0;
  let items = 0;
  const seconds = await new Promise<number>((done, fail) => {
    consumer
      .run({
        eachBatch: async ({ batch }) => {
          for (const { value } of batch.messages) {
            const event = JSON.parse(value!.toString()) as { item: string };
            items += event.item.length;
          }
          seen += batch.messages.length;
          if (seen >= events) done((performance.now() - started) / 1000);
        },
      })
      .catch(fail);
  });
  await consumer.disconnect();
  if (items === 0) throw new Error('expected events');
  return seconds;
}

/** Seconds until every event of the topic is durable in the inbox of a new state. */
async function ours(broker: Broker, topic: string, mapping: object, expected: number): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-kafka-'));
  const pipeline = await createPipeline({
    state: directory,
    sources: [
      { type: 'kafka', brokers: [...broker.brokers], topics: [topic], group: randomUUID(), ...mapping },
    ],
  });
  try {
    let seconds = 0;
    const started = performance.now();
    const { events: taken } = await pipeline.ingest(undefined, total => {
      if (total === events) seconds = (performance.now() - started) / 1000;
    });
    if (taken !== expected) throw new Error(`expected ${expected} events, found ${taken}`);
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
    await fill(broker, topic, plainEvent);
    await fill(broker, mixed, trackedEvent);
    const measured = [];
    for (let run = 0; run < runs; run++) {
      const [bareSeconds, seconds] = [await bare(broker, topic), await ours(broker, topic, {}, events)];
      const [bareMixed, mapped] = [
        await bare(broker, mixed),
        await ours(broker, mixed, mapping, (events * 4) / 5),
      ];
      const lists = await listsPerSecond(broker);
      const m = {
        eventsPerSecond: events / seconds,
        barePerSecond: events / bareSeconds,
        ratio: bareSeconds / seconds,
        mappedPerSecond: events / mapped,
        mappedRatio: bareMixed / mapped,
        listsPerSecond: lists.first,
        listsPerSecondAgain: lists.next,
      };
      measured.push(m);
      log(
        `${Math.round(m.eventsPerSecond)} events/s, a bare consumer ${Math.round(m.barePerSecond)}: ${m.ratio.toFixed(2)}; ${Math.round(m.mappedPerSecond)} records/s mapped: ${m.mappedRatio.toFixed(2)}; ${m.listsPerSecond} lists/s, over others ${m.listsPerSecondAgain}`,
      );
    }
    return {
      events,
      partitions,
      runs,
      eventsPerSecond: median(measured.map(m => m.eventsPerSecond)),
      barePerSecond: median(measured.map(m => m.barePerSecond)),
      ratioToBareConsumer: median(measured.map(m => m.ratio)),
      mappedPerSecond: median(measured.map(m => m.mappedPerSecond)),
      mappedRatioToBareConsumer: median(measured.map(m => m.mappedRatio)),
      listsPerSecond: median(measured.map(m => m.listsPerSecond)),
      listsPerSecondAgain: median(measured.map(m => m.listsPerSecondAgain)),
      measured,
    };
  } finally {
    await broker.stop();
  }
}
