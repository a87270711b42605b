/**
 * Sends purchases into a topic and follows the lists that come out: first when there are enough of them for a model,
 * then when a signal asks for one.
 */
import { randomUUID } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { Kafka, logLevel, type Message } from 'kafkajs';
import { type FollowedLists, followLists } from '../../jobs/index.js';

const brokers = (process.env.KAFKA_BROKERS ?? 'localhost:9092').split(',');
const kafka = new Kafka({ brokers, clientId: 'demo', logLevel: logLevel.NOTHING });
const data = join(
  resolve(dirname(fileURLToPath(import.meta.url)), '../../..'),
  'examples/data/online-retail.parquet',
);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Lines of the shop as messages, keyed by customer. */
async function purchases(from: number, count: number): Promise<Message[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(
    `SELECT customer_id::VARCHAR, stock_code, epoch_ms(invoice_date)::DOUBLE FROM '${data.replaceAll("'", "''")}'
     WHERE customer_id IS NOT NULL AND quantity > 0 ORDER BY invoice_date, invoice_no, stock_code LIMIT ${count} OFFSET ${from}`,
  );
  connection.closeSync();
  return reader.getRows().map(([user, item, ts], k) => ({
    key: String(user),
    value: JSON.stringify({ user, item, ts, id: `line ${from + k}` }),
  }));
}

async function send(topic: string, messages: Message[]): Promise<void> {
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  for (let from = 0; from < messages.length; from += 1000)
    await producer.send({ topic, messages: messages.slice(from, from + 1000) });
  await producer.disconnect();
}

/** Follows the lists as soon as the stage has made the topics. */
async function follow(): Promise<FollowedLists> {
  for (let tries = 0; ; tries++) {
    try {
      return await followLists(kafka, 'champion', { prefix: 'shop' });
    } catch (error) {
      if (tries === 60) throw error;
      await sleep(1000);
    }
  }
}

const admin = kafka.admin();
await admin.connect();
await admin.createTopics({ topics: [{ topic: 'shop.events', numPartitions: 3 }], waitForLeaders: true });
await admin.disconnect();

const first = await purchases(0, 8000);
const customer = String(first[0]!.key);
await send('shop.events', first);
say(`${first.length} purchases sent; a model is fitted for every 5,000`);
const lists = await follow();
const versions = lists[Symbol.asyncIterator]();
const show = (version: string): void => {
  const { items } = lists.get('users', customer) ?? { items: [] };
  say(
    `version ${version}: ${lists.size('users')} customers; for ${customer}: ${items.slice(0, 5).join(' ')}`,
  );
};
show((await versions.next()).value);

const more = await purchases(8000, 4000);
await send('shop.events', more);
const id = randomUUID();
await send('shop.signals', [{ key: id, value: JSON.stringify({ id, type: 'refit', options: { l2: 10 } }) }]);
say(`${more.length} more sent, and the signal refit`);
show((await versions.next()).value);
await lists.close();
