import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createPipeline, type Pipeline, refitStep } from '../../jobs/index.js';
import { cli } from '../bench/environment.js';
import { startRedis } from '../bench/redis-server.js';
import { seeded } from '../support/random.js';
import type { ChaosOptions } from './chaos.js';
import { readWhile } from './reader.js';

const users = 3000;
const items = 150;

/**
 * Publishes `rounds` versions to a Redis by processes of the command line, three of every five killed at a random moment
 * and started again, while a reader follows the pointer and reads random lists. Counts what no reader should ever see.
 */
export async function chaosPublish({ rounds, seed, log }: ChaosOptions) {
  const next = seeded(seed);
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-chaos-'));
  const redis = await startRedis(directory);
  const prefix = 'chaos';
  const settings = {
    state: join(directory, 'state'),
    sources: [
      {
        type: 'duckdb' as const,
        database: join(directory, 'w.duckdb'),
        query: 'SELECT * FROM sales',
        cursor: 'line',
      },
    ],
    fit: { solver: 'fsai' as const },
    publish: { k: 20 },
    sinks: [{ type: 'redis' as const, url: redis.url, prefix, keep: 1, graceMs: 2000 }],
  };
  const config = join(directory, 'pipeline.json');
  writeFileSync(config, JSON.stringify(settings));
  const failures: string[] = [];
  const published: string[] = [];
  let kills = 0;
  let lines = 0;
  let usualMs = 0;

  async function sell(count: number): Promise<void> {
    const instance = await DuckDBInstance.create(join(directory, 'w.duckdb'));
    const connection = await instance.connect();
    await connection.run('CREATE TABLE IF NOT EXISTS sales (line BIGINT, "user" VARCHAR, item VARCHAR)');
    const rows = Array.from({ length: count }, () => {
      const item = Math.floor(items * next() * next());
      return `(${lines++}, 'u${lines <= users ? lines - 1 : Math.floor(users * next())}', 'i${item}')`;
    });
    await connection.run(`INSERT INTO sales VALUES ${rows.join()}`);
    connection.closeSync();
    instance.closeSync();
  }

  /** Takes in new sales, at times fits anew, and compares what was published before. */
  async function prepare(round: number): Promise<void> {
    await sell(round === 0 ? 8 * users : 200);
    const pipeline = await createPipeline(settings);
    try {
      await pipeline.ingest();
      await pipeline.fold();
      if (round % 5 === 0) await refitStep(pipeline, { trigger: `chaos:${round}` });
    } finally {
      await pipeline.close();
    }
  }

  /** Runs one publication to its end, or kills it after `killAfterMs`. */
  async function publishOnce(killAfterMs?: number): Promise<string | undefined> {
    const child = spawn(process.execPath, [cli, 'publish', '-c', config, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (part: string) => (output += part));
    child.stderr.setEncoding('utf8').on('data', (part: string) => (errors += part));
    const timer =
      killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    const [code] = (await once(child, 'close')) as [number | null];
    clearTimeout(timer);
    if (code === 0) return (JSON.parse(output) as { version: string }).version;
    if (code === null) kills++;
    else failures.push(`a publication failed: ${errors.trim().split('\n').slice(-2).join(' ')}`);
    return undefined;
  }

  let reader: ReturnType<typeof readWhile> | undefined;
  try {
    for (let round = 0; round < rounds; round++) {
      await prepare(round);
      let version =
        round % 5 < 3 && round > 0 ? await publishOnce(usualMs * (0.15 + 0.7 * next())) : undefined;
      while (version === undefined && failures.length === 0) {
        const started = performance.now();
        version = await publishOnce();
        usualMs = performance.now() - started;
      }
      if (version === undefined) break;
      published.push(version);
      const current = String(await redis.send('GET', `${prefix}:current`));
      if (current !== version)
        failures.push(`after the publication of ${version} the pointer named ${current}`);
      reader ??= readWhile({ url: redis.url, prefix, users, random: next });
      reader.published(version);
      failures.push(...(await compare(settings, redis.send, `${prefix}:${version}`, next)));
      log(`round ${round + 1}: ${version}, ${kills} kills, ${reader.reads()} reads`);
    }
    const read = await reader?.stop();
    failures.push(...(read?.failures ?? []));
    const versions = new Set(published).size;
    return {
      rounds: published.length,
      versions,
      kills,
      reads: read?.reads ?? 0,
      switches: read?.switches ?? 0,
      failures,
    };
  } finally {
    await reader?.stop();
    await redis.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Lists that were published against those that the state gives now. */
async function compare(
  settings: Parameters<typeof createPipeline>[0],
  send: (...args: string[]) => Promise<unknown>,
  version: string,
  random: () => number,
): Promise<string[]> {
  const pipeline: Pipeline = await createPipeline(settings);
  const wrong: string[] = [];
  try {
    for (let k = 0; k < 20; k++) {
      const user = `u${Math.floor(users * random())}`;
      const stored = await send('GET', `${version}:u:${user}`);
      const expected = await pipeline.recommend(user, 20);
      const found = stored === null ? undefined : (JSON.parse(String(stored)) as { items: string[] }).items;
      if (JSON.stringify(found) !== JSON.stringify(expected.items))
        wrong.push(`${version}: the list of ${user} is ${String(stored)}, expected ${expected.items.join()}`);
    }
  } finally {
    await pipeline.close();
  }
  return wrong;
}
