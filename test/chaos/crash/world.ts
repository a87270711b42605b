import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import {
  createPipeline,
  foldStep,
  type PipelineOptions,
  publishStep,
  refitStep,
} from '../../../jobs/index.js';
import { seeded } from '../../support/random.js';
import { copyFiles } from './copy.js';
import { type Feeds, readFeeds } from './feeds.js';
import { batches, csv, type Meaning, makeRows, meanings, type Row, semantics, total } from './journal.js';

/** A state and its sinks as they were before anything died; each trial gets a copy. */
export interface World {
  readonly meaning: Meaning;
  readonly directory: string;
  readonly rows: readonly Row[];
  /** The last row that the state has taken, and how many events it has folded. */
  readonly position: number;
  readonly folded: number;
  readonly models: number;
  readonly feeds: Feeds;
}

/** The configuration of a trial: every sink, small batches and short clocks. */
export function optionsOf(meaning: Meaning, redis: string | undefined): PipelineOptions {
  return {
    state: './state',
    semantics: semantics[meaning],
    database: { memoryLimit: '256MB', threads: 1 },
    threads: 1,
    sources: [
      {
        type: 'duckdb',
        name: 'rows',
        query: `SELECT * FROM read_csv('in/*.csv', header = true, columns = {'n': 'BIGINT', 'user': 'VARCHAR',
          'item': 'VARCHAR', 'weight': 'DOUBLE', 'op': 'VARCHAR', 'ts': 'BIGINT', 'id': 'VARCHAR'})`,
        cursor: 'n',
        batchSize: 47,
      },
    ],
    sinks: [
      { type: 'lmdb', path: 'out/feeds.lmdb', keep: 0, leaseMs: 10_000 },
      { type: 'duckdb', database: 'out/feeds.duckdb', keep: 0 },
      { type: 'files', path: 'out/feeds', keep: 0 },
      ...(redis ? [{ type: 'redis' as const, url: redis, keep: 0, graceMs: 0, leaseMs: 10_000 }] : []),
    ],
    gramian: { mode: 'stored' },
    fold: { maxEvents: 60 },
    fit: meaning === 'sum' ? { solver: 'icf', density: 0.4, l2: 5 } : { solver: 'fsai' },
    publish: { k: 5 },
    schedule: {
      pollMs: 100,
      fold: { cron: '* * * * * *', events: 50 },
      refit: { events: 100 },
      fresh: { follow: true },
    },
    log: { level: 'warn' },
  };
}

const database = (meaning: Meaning): string => String(1 + meanings.indexOf(meaning));

/** Replaces all keys of one of the server's databases by those of another. */
async function copyRedis(redis: string | undefined, from: string, to: string): Promise<void> {
  if (!redis) return;
  const client = await createClient({ url: redis }).connect();
  try {
    await client.sendCommand(['SELECT', to]);
    await client.sendCommand(['FLUSHDB']);
    await client.sendCommand(['SELECT', from]);
    const keys = (await client.sendCommand(['KEYS', '*'])) as string[];
    await Promise.all(keys.map(key => client.sendCommand(['COPY', key, key, 'DB', to])));
  } finally {
    client.destroy();
  }
}

/** Runs `body` and puts the keys of Redis back to what they were. */
export async function sparingRedis(redis: string | undefined, body: () => Promise<void>): Promise<void> {
  await copyRedis(redis, '0', '14');
  await body();
  await copyRedis(redis, '14', '0');
}

/** Makes the world of a meaning: published, with more folded, more in the inbox and more in the source. */
export async function makeWorld(
  root: string,
  meaning: Meaning,
  seed: number,
  redis: string | undefined,
): Promise<World> {
  const directory = join(root, `world-${meaning}`);
  rmSync(directory, { recursive: true, force: true });
  for (const part of ['in', 'out']) mkdirSync(join(directory, part), { recursive: true });
  const options = optionsOf(meaning, redis);
  writeFileSync(join(directory, 'pipeline.yaml'), JSON.stringify(options));
  await copyRedis(redis, '15', '0');
  const rows = makeRows(seeded(seed + meanings.indexOf(meaning)), meaning, 0, total);
  let first = 0;
  const sell = (count: number) => {
    writeFileSync(join(directory, `in/${first}.csv`), csv(rows.slice(first, (first += count))));
  };
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  let [folded, position, models] = [0, 0, 0];
  try {
    sell(batches[0]!);
    await pipeline.ingest();
    await refitStep(pipeline, { trigger: 'world' });
    await publishStep(pipeline, { trigger: 'world' });
    sell(batches[1]!);
    await pipeline.ingest();
    await foldStep(pipeline, { trigger: 'world' });
    sell(batches[2]!);
    await pipeline.ingest();
    const { store } = pipeline.parts;
    [folded, models] = [await store.folded(), (await store.models()).length];
    position = (await store.positions('rows'))[0]!.sequence;
  } finally {
    await pipeline.close();
  }
  sell(batches[3]!);
  const feeds = await readFeeds(directory, redis);
  await copyRedis(redis, '0', database(meaning));
  return { meaning, directory, rows, position, folded, models, feeds };
}

/** Copies a world to `to`; `bare` leaves out its state and what is in its sinks. */
export async function copyWorld(
  world: World,
  to: string,
  redis: string | undefined,
  bare: boolean,
): Promise<void> {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(join(to, 'out'), { recursive: true });
  const parts = bare ? ['in', 'pipeline.yaml'] : ['in', 'pipeline.yaml', 'state', 'out'];
  for (const part of parts)
    if (existsSync(join(world.directory, part))) copyFiles(join(world.directory, part), join(to, part));
  await copyRedis(redis, bare ? '15' : database(world.meaning), '0');
}
