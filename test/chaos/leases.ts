import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { followLists } from '../../connectors/kafka/follow.js';
import { createSink, sinkOptions } from '../../connectors/registry.js';
import type { Sink } from '../../src/contracts/sink.js';
import { publicationOf, ranked } from '../../src/testing/index.js';
import { startRedis } from '../bench/redis-server.js';
import { startBroker } from '../support/broker.js';
import { type PublisherProcess, startPublisher } from '../support/publisher-process.js';
import type { Random } from '../support/random.js';

const leaseMs = 2000;
const [batches, perBatch] = [8, 500];
const lists = batches * perBatch;
const aliases = ['champion', 'candidate'] as const;

/** A store that two publishers share, and how another program counts the lists that an alias leads to. */
interface Store {
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
  count(sink: Sink, alias: string, version: string): Promise<number>;
}

async function countByGet(sink: Sink, alias: string): Promise<number> {
  let found = 0;
  for (let k = 0; k < lists; k++) if (await sink.get!('users', `u${k}`, alias)) found++;
  return found;
}

/** The stores of a trial in `directory`, by kind. */
const stores: Readonly<Record<string, (directory: string, url: string) => Store>> = {
  lmdb: directory => ({
    module: '#connectors/lmdb/sink.js',
    options: { type: 'lmdb', path: join(directory, 'feeds.lmdb') },
    count: countByGet,
  }),
  redis: (_, url) => ({
    module: '#connectors/redis/sink.js',
    options: { type: 'redis', url, prefix: 'leases', graceMs: 0 },
    count: countByGet,
  }),
  files: directory => ({
    module: '#connectors/files/sink.js',
    options: { type: 'files', path: join(directory, 'feeds') },
    async count(_, __, version) {
      const file = join(directory, 'feeds', version, 'users.ndjson');
      return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
    },
  }),
  duckdb: directory => ({
    module: '#connectors/duckdb/sink.js',
    options: { type: 'duckdb', database: join(directory, 'feeds.duckdb') },
    async count(_, __, version) {
      const instance = await DuckDBInstance.create(join(directory, 'feeds.duckdb'));
      const connection = await instance.connect();
      const sql = 'SELECT count(DISTINCT id)::INTEGER FROM lists WHERE version = $version';
      const rows = await connection.runAndReadAll(sql, { version });
      connection.closeSync();
      instance.closeSync();
      return Number(rows.getRowsJS()[0]![0]);
    },
  }),
  kafka: (_, brokers) => ({
    module: '#connectors/kafka/sink.js',
    options: { type: 'kafka', brokers, prefix: 'leases', partitions: 1 },
    async count(_, alias) {
      const found = await followLists({ brokers }, alias, { prefix: 'leases' });
      try {
        return Array.from({ length: lists }, (_, k) => found.get('users', `u${k}`)).filter(Boolean).length;
      } finally {
        await found.close();
      }
    },
  }),
};

/** Publishes a version step by step; returns what went wrong, if anything. */
async function publish(
  by: PublisherProcess,
  version: string,
  alias: string,
  content: string,
): Promise<string | undefined> {
  const steps: [string, ...unknown[]][] = [['begin', { ...publicationOf(version), content }]];
  for (let b = 0; b < batches; b++) {
    const ids = Array.from({ length: perBatch }, (_, k) => `u${b * perBatch + k}`);
    steps.push(['write', 'users', ids.map(id => ranked(id, [content, 'a', 'b']))]);
  }
  steps.push(['finish'], ['point', version, alias], ['prune', 1], ['close']);
  for (const [method, ...args] of steps) {
    const { error } = await by.call(method, ...args);
    if (error !== undefined) return error;
  }
  return undefined;
}

/**
 * Two publishers in one store, `rounds` times for each kind: the first is stopped at a random moment for longer than its
 * lease, the second publishes meanwhile under another alias, for another state or for a copy of the same, and at times
 * the same version. Then the first goes on. Counts versions under an alias that lack lists.
 */
export async function chaosLeases(options: {
  readonly rounds: number;
  readonly kinds: readonly string[];
  readonly random: Random;
  readonly log: (line: string) => void;
}) {
  const { rounds, kinds, random, log } = options;
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-leases-'));
  const redis = kinds.includes('redis') ? await startRedis(directory) : undefined;
  const broker = kinds.includes('kafka') ? await startBroker({ own: true, heapMiB: 512 }) : undefined;
  const totals = { rounds: 0, published: 0, refused: 0, incomplete: [] as string[] };
  try {
    for (const kind of kinds) {
      const address = kind === 'kafka' ? broker!.brokers.join() : (redis?.url ?? '');
      const store = stores[kind]!(directory, address);
      for (let round = 0; round < rounds; round++) {
        const outcomes = await oneRound({ ...store, options: { ...store.options, leaseMs } }, round, random);
        totals.rounds++;
        for (const outcome of outcomes) outcome === undefined ? totals.published++ : totals.refused++;
        const incomplete = await incompleteOf(store);
        totals.incomplete.push(...incomplete.map(text => `${kind} ${round}: ${text}`));
        log(`${kind} ${round + 1}: ${outcomes.map(o => o ?? 'published').join(' | ')} ${incomplete.join()}`);
      }
    }
    return totals;
  } finally {
    await redis?.stop();
    await broker?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function oneRound(store: Store, round: number, random: Random): Promise<(string | undefined)[]> {
  const copy = random() < 0.5;
  const [first, second] = await Promise.all([
    startPublisher(store, 'state'),
    startPublisher(store, copy ? 'state' : 'other'),
  ]);
  const versions = [`v${round}a`, random() < 0.3 ? `v${round}a` : `v${round}b`] as const;
  const contents = ['one', random() < 0.5 ? 'one' : 'two'] as const;
  try {
    const outcome = publish(first, versions[0], aliases[0], contents[0]);
    await sleep(400 * random());
    first.kill('SIGSTOP');
    const mayGoOn = sleep(leaseMs * (0.8 + 2 * random())).then(() => first.kill('SIGCONT'));
    let other = await publish(second, versions[1], aliases[1], contents[1]);
    for (let tries = 0; other?.includes('is writing here') && tries < 20; tries++) {
      await sleep(300);
      other = await publish(second, versions[1], aliases[1], contents[1]);
    }
    await mayGoOn;
    return [await outcome, other];
  } finally {
    for (const one of [first, second]) {
      one.kill('SIGKILL');
      await one.ended;
    }
  }
}

/** The versions under an alias that lack lists. */
async function incompleteOf(store: Store): Promise<string[]> {
  const sink = await createSink(sinkOptions.parse(store.options), '.');
  await sink.connect();
  const wrong: string[] = [];
  try {
    for (const [alias, version] of await sink.pointers()) {
      const count = await store.count(sink, alias, version);
      // Kafka's topics hold the lists of the version that was written last.
      if (count !== lists) wrong.push(`${alias} names ${version}, which has ${count} of ${lists} lists`);
    }
  } finally {
    await sink.close();
  }
  return wrong;
}
