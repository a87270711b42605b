/**
 * A feed from end to end: a small shop's sales are taken in, a model is fitted, lists are published to LMDB (or to the
 * Redis of REDIS_URL), a web service serves them, and a load test asks it. `--port N` keeps the service running instead.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { createPipeline, type PipelineOptions, refitStep } from '../../jobs/index.js';
import { lmdbFeeds, redisFeeds } from './feeds.js';
import { load } from './load.js';
import { feedServer } from './server.js';

const { values } = parseArgs({ options: { port: { type: 'string' }, seconds: { type: 'string' } } });
const users = 5000;
const prefix = 'feed-example';
const directory = mkdtempSync(join(tmpdir(), 'recommendation-feed-'));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function sales(path: string): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  // Customers of one of five tastes, popular articles in front.
  await connection.run(`CREATE TABLE sales AS SELECT row_number() OVER () AS line, 'customer-' || u AS "user",
    'article-' || (100 * (u % 5) + floor(100 * pow(hash(u, k) / 18446744073709551616.0, 2)))::INTEGER AS item
    FROM range(${users}) a(u), range(12) b(k)`);
  connection.closeSync();
  instance.closeSync();
}

await sales(join(directory, 'shop.duckdb'));
const url = process.env.REDIS_URL;
const lmdb = join(directory, 'feeds.lmdb');
const sink: NonNullable<PipelineOptions['sinks']>[number] =
  url === undefined ? { type: 'lmdb', path: lmdb, prefix } : { type: 'redis', url, prefix };
const pipeline = await createPipeline({
  state: join(directory, 'state'),
  sources: [
    {
      type: 'duckdb',
      database: join(directory, 'shop.duckdb'),
      query: 'SELECT * FROM sales',
      cursor: 'line',
    },
  ],
  sinks: [sink],
  fit: { solver: 'fsai' },
  publish: { k: 20, rules: { fallback: true } },
});
await pipeline.ingest();
await refitStep(pipeline, { trigger: 'demo' });
const published = await pipeline.publish();
await pipeline.close();
say(`${published.users} user lists and ${published.items} item lists published as ${published.version}`);

const feeds = url === undefined ? await lmdbFeeds(lmdb, prefix) : await redisFeeds(url, prefix);
const server = feedServer(feeds).listen(Number(values.port ?? 0), '127.0.0.1');
await once(server, 'listening');
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
say(`${base}/users/customer-7 → ${await (await fetch(`${base}/users/customer-7`)).text()}`);
if (values.port === undefined) {
  const names = Array.from({ length: users }, (_, u) => `customer-${u}`);
  const report = await load(base, names, { seconds: Number(values.seconds ?? 5) });
  const ms = Object.entries(report.ms).map(([name, value]) => `${name} ${value.toFixed(2)} ms`);
  say(
    `${report.requests} requests, ${report.failed} failed, ${report.requestsPerSecond}/s; ${ms.join(', ')}`,
  );
  const { ownMs } = (await (await fetch(`${base}/metrics`)).json()) as { ownMs: Record<string, number> };
  const own = Object.entries(ownMs).map(([name, value]) => `${name} ${value.toFixed(3)} ms`);
  say(`the service's own time: ${own.join(', ')}`);
} else {
  say('serving until SIGINT');
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
}
server.close();
server.closeAllConnections();
await feeds.close();
rmSync(directory, { recursive: true, force: true });
