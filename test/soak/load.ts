/** Constant loads: a topic of a real broker, or a table of a warehouse. Each counts what it has brought. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import type { PipelineOptions } from '../../jobs/index.js';
import { startBroker } from '../support/broker.js';
import { client } from '../support/topic.js';

/** Pairs are few enough for one answer of `sql`, and each comes again and again. */
const users = 97;
const items = 83;

export interface Load {
  readonly source: NonNullable<PipelineOptions['sources']>[number];
  /** Brings events `from` to `from + count`. */
  bring(from: number, count: number): Promise<void>;
  close(): Promise<void>;
}

/** The user and the item of event n. */
export const pairOf = (n: number): readonly [string, string] => [`u${n % users}`, `i${(n * 7919) % items}`];

/** Events by their pair: what X has to be, as sums of weights of 1. */
export function expectedPairs(events: number): Map<string, number> {
  const sums = new Map<string, number>();
  for (let n = 0; n < events; n++) {
    const key = pairOf(n).join(' ');
    sums.set(key, (sums.get(key) ?? 0) + 1);
  }
  return sums;
}

export async function kafkaLoad(): Promise<Load> {
  const broker = await startBroker({ own: true });
  const topic = 'soak';
  const kafka = client(broker);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 4 }] });
  await admin.disconnect();
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  return {
    source: { type: 'kafka', name: 'soak', brokers: [...broker.brokers], topics: [topic], group: 'soak' },
    async bring(from, count) {
      const messages = Array.from({ length: count }, (_, k) => {
        const [user, item] = pairOf(from + k);
        return { key: user, value: JSON.stringify({ user, item }) };
      });
      await producer.send({ topic, messages, acks: -1 });
    },
    async close() {
      await producer.disconnect();
      await broker.stop();
    },
  };
}

export async function warehouseLoad(directory: string): Promise<Load> {
  const database = join(directory, 'warehouse.duckdb');
  /** Runs a statement as soon as the stage does not read. */
  const run = async (sql: string): Promise<void> => {
    for (;;) {
      const instance = await DuckDBInstance.create(database).catch((error: Error) => {
        if (!/lock/i.test(error.message)) throw error;
      });
      if (!instance) {
        await sleep(5);
        continue;
      }
      const connection = await instance.connect();
      try {
        await connection.run(sql);
      } finally {
        connection.closeSync();
        instance.closeSync();
      }
      return;
    }
  };
  await run('CREATE TABLE sales (line BIGINT, "user" VARCHAR, item VARCHAR)');
  return {
    source: {
      type: 'duckdb',
      name: 'soak',
      database,
      query: 'SELECT line, "user", item FROM sales',
      cursor: 'line',
    },
    async bring(from, count) {
      const rows = Array.from({ length: count }, (_, k) => {
        const [user, item] = pairOf(from + k);
        return `(${from + k}, '${user}', '${item}')`;
      });
      await run(`INSERT INTO sales VALUES ${rows.join()}`);
    },
    close: async () => undefined,
  };
}
