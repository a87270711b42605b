/**
 * A warehouse has the past of a topic: the state takes that, and then the topic from where it ends, so that it is the same as
 * one that reads the topic alone. `npm run chaos -- history` kills the stage more often.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';
import { silent } from '#src/index.js';
import type { HistoryChaosResult } from '../../chaos/history.js';
import type { Broker } from '../../support/broker.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';
import { output } from '../../support/node-process.js';
import { matrixOf, startCli } from '../../support/service.js';
import { client, json, makeTopic, produce, type SourceSettings } from '../../support/topic.js';
import { withBroker } from '../../support/with-broker.js';

const at = (minute: number): number => Date.UTC(2026, 9, 1, 12, minute);

/** Records of two partitions: `record(k)` has the offset `k >> 1` of partition `k & 1`, and its own timestamp. */
const record = (k: number) => ({
  user: `u${k % 4}`,
  item: `i${k % 3}`,
  weight: 1 + (k % 2),
  ts: at(Math.floor(k / 4)),
  id: `e${k}`,
});
const messageOf = (k: number) => json(record(k), { partition: k & 1, timestamp: String(at(k)) });

const insert = (k: number): string => {
  const { user, item, weight, ts, id } = record(k);
  return `INSERT INTO events VALUES ('${user}', '${item}', ${weight}, ${ts}, '${id}', ${k & 1}, ${k >> 1}, ${at(k)})`;
};

/** A warehouse with some of the records. */
async function warehouseOf(records: readonly number[]): Promise<string> {
  const path = join(temporaryDirectory(), 'warehouse.duckdb');
  await runSql(
    path,
    `CREATE TABLE events ("user" VARCHAR, item VARCHAR, weight INTEGER, ts BIGINT, id VARCHAR,
      part INTEGER, "offset" BIGINT, written BIGINT)`,
    ...records.map(insert),
  );
  return path;
}

const byOffset = { source: 'history', partition: 'part', offset: 'offset' };
const byTime = (k: number) => ({
  source: 'history',
  timestamp: 'written',
  time: new Date(at(k)).toISOString(),
});

function optionsOf(
  broker: Broker,
  topic: string,
  database: string,
  settings: SourceSettings = {},
): PipelineOptions & { readonly state: string } {
  return {
    state: join(temporaryDirectory(), 'state'),
    semantics: { interactions: 'sum', weightScale: 1 },
    sources: [
      {
        type: 'kafka',
        brokers: [...broker.brokers],
        topics: [topic],
        group: `${topic}-${Math.random()}`,
        sessionTimeoutMs: 6000,
        batch: { waitMs: 50 },
        startAfter: byOffset,
        ...settings,
      },
      {
        type: 'duckdb',
        name: 'history',
        database,
        query: 'SELECT * FROM events',
        cursor: 'ts',
        batchSize: 3,
      },
    ],
    gramian: { mode: 'stored' },
    deadLetters: { tolerance: 1000 },
  };
}

/** Takes in what there is; what `body` finds of it. */
async function onState<T>(options: PipelineOptions, body: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await createPipeline(options, { log: silent });
  try {
    await pipeline.ingest();
    await pipeline.fold();
    return await body(pipeline);
  } finally {
    await pipeline.close();
  }
}

/** Sums of the weights of records, each once. */
function summed(records: readonly number[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const k of new Set(records)) {
    const { user, item, weight } = record(k);
    sums.set(`${user} ${item}`, (sums.get(`${user} ${item}`) ?? 0) + weight);
  }
  return new Map([...sums].sort());
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, k) => k);

await withBroker('A topic behind its history', {}, broker => {
  const topicOf = async (records: readonly number[]): Promise<string> => {
    const topic = await makeTopic(broker(), 2, { 'retention.ms': '-1' });
    await produce(broker(), topic, records.map(messageOf));
    return topic;
  };

  it('goes on behind the last offsets of the history, and reads that no more', async () => {
    const topic = await topicOf(upTo(40));
    const database = await warehouseOf(upTo(23));
    const options = optionsOf(broker(), topic, database);
    await onState(options, async pipeline => {
      expect(await matrixOf(pipeline)).toEqual(summed(upTo(40)));
      const { differing } = await pipeline.verify();
      expect(differing).toBe(0);
      const positions = await pipeline.parts.store.positions('kafka');
      expect(Object.fromEntries(positions.map(p => [p.partition, p.sequence]))).toEqual({
        [topic]: 23,
        [`${topic}/0`]: 19,
        [`${topic}/1`]: 19,
      });
    });
    await runSql(database, insert(100)); // the loader goes on
    await produce(broker(), topic, [messageOf(40)]);
    await onState(options, async pipeline => expect(await matrixOf(pipeline)).toEqual(summed(upTo(41))));
  });

  it('knows an event again that the topic brings once more', async () => {
    const topic = await topicOf([...upTo(20), 6, 8]);
    await onState(optionsOf(broker(), topic, await warehouseOf(upTo(20))), async pipeline => {
      expect(await matrixOf(pipeline)).toEqual(summed(upTo(20)));
      expect((await pipeline.parts.store.counts()).repeated).toBe(2);
    });
  });

  it.each(['ingest:committed#2', 'history:read', 'history:ended'])(
    'dies at %s, while rows come that the topic has too',
    { timeout: 60_000 },
    async point => {
      const topic = await topicOf(upTo(40));
      const database = await warehouseOf(upTo(20));
      const options = optionsOf(broker(), topic, database);
      const config = join(temporaryDirectory(), 'pipeline.json');
      writeFileSync(config, JSON.stringify(options));
      const dead = startCli(['ingest', '-c', config], { SANSA_STREAM_CRASH_AT: point });
      expect(await dead.ended, dead.errors()).toEqual({ code: null, signal: 'SIGKILL' });
      await runSql(database, ...upTo(30).slice(20).map(insert));
      await onState(options, async pipeline => expect(await matrixOf(pipeline)).toEqual(summed(upTo(40))));
    },
  );

  it('parts the two at a time, whatever the order of the records', async () => {
    const order = [...upTo(16), 25, 17, 26, 18, 19, 16, ...upTo(30).slice(20, 25)];
    const topic = await topicOf(order);
    // The warehouse has all before the 20th, and some that are not.
    const database = await warehouseOf([...upTo(20), 21, 25]);
    await onState(optionsOf(broker(), topic, database, { startAfter: byTime(20) }), async pipeline => {
      expect(await matrixOf(pipeline)).toEqual(summed(order));
      expect(await pipeline.parts.store.skippedCounts()).toMatchObject([{ reason: 'in the history' }]);
    });
  });

  it('refuses a gap that retention has left, and a history of another topic', async () => {
    const topic = await topicOf(upTo(40));
    const admin = client(broker()).admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // kafkajs deletes only where it knows the leader
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '15' }] });
    await admin.disconnect();
    const lost = { code: 'RECORDS_LOST' };
    const short = optionsOf(broker(), topic, await warehouseOf(upTo(20)));
    await expect(onState(short, matrixOf)).rejects.toMatchObject(lost);
    const one = optionsOf(broker(), topic, await warehouseOf([1, 3]));
    await expect(onState(one, matrixOf)).rejects.toMatchObject(lost);
    const late = optionsOf(broker(), topic, await warehouseOf(upTo(20)), { startAfter: byTime(20) });
    await expect(onState(late, matrixOf)).rejects.toMatchObject(lost);
    const enough = optionsOf(broker(), topic, await warehouseOf(upTo(30)));
    await onState(enough, async pipeline => expect(await matrixOf(pipeline)).toEqual(summed(upTo(40))));
    const other = optionsOf(broker(), await topicOf([0, 1]), await warehouseOf(upTo(20)));
    await expect(onState(other, matrixOf)).rejects.toMatchObject({
      code: 'STATE_MISMATCH',
      message: expect.stringContaining('its history has 10'),
    });
  });

  it('refuses rows without a place', async () => {
    const database = await warehouseOf(upTo(4));
    await runSql(database, 'UPDATE events SET "offset" = NULL WHERE part = 1');
    await expect(onState(optionsOf(broker(), await topicOf([0]), database), matrixOf)).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringContaining('2 rows have no part or offset'),
    });
  });

  it('a shard takes the rows of its own partitions', async () => {
    const topic = await topicOf(upTo(20));
    const options = optionsOf(broker(), topic, await warehouseOf(upTo(10)), { shard: '1/2' });
    await onState(options, async pipeline =>
      expect(await matrixOf(pipeline)).toEqual(summed(upTo(20).filter(k => k & 1))),
    );
  });
});

describe('settings', () => {
  const kafka = { type: 'kafka', brokers: 'localhost:1', topics: ['t'] } as const;
  const history = { type: 'duckdb', name: 'history', query: 'SELECT 1 AS user, 2 AS item' } as const;
  it.each<[string, object, RegExp]>([
    [
      'no such source',
      { startAfter: { ...byOffset, source: 'past' } },
      /startAfter\.source: expected a DuckDB source/,
    ],
    ['half a place', { startAfter: { source: 'history', partition: 'p' } }, /startAfter: expected either/],
    ['latest', { startAfter: byOffset, start: 'latest' }, /start: expected none beside `startAfter`/],
    ['two topics', { startAfter: byOffset, topics: ['t', 'u'] }, /topics: expected one topic/],
    [
      'a shard by time',
      { startAfter: byTime(1), shard: '0/2' },
      /startAfter: expected `partition` and `offset`/,
    ],
  ])('%s', async (_, more, message) => {
    const sources = [history, { ...kafka, ...more }] as PipelineOptions['sources'];
    const state = join(temporaryDirectory(), 'state');
    await expect(createPipeline({ state, sources })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

it('a state that is killed while it takes the history and after it has all of the topic once', {
  timeout: 300_000,
}, async () => {
  const chaos = join(import.meta.dirname, '../../../dist/test/chaos/chaos.js');
  const flags = ['--kills', '5', '--events', '6000', '--seed', '3', '--json'];
  const child = spawn(process.execPath, [chaos, 'history', ...flags], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const result = JSON.parse(await output(child)) as HistoryChaosResult;
  expect(result).toMatchObject({ kills: 5, differing: 0, verifyDiffering: 0 });
  expect(result.repeated).toBeGreaterThan(0);
});
