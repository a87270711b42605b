import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRedisSink, redisOptions } from '#connectors/redis/sink.js';
import type { Sink } from '#src/contracts/index.js';
import { type Feeds, lmdbFeeds, redisFeeds } from '../../dist/examples/recommendation-feed/feeds.js';
import { load } from '../../dist/examples/recommendation-feed/load.js';
import { feedServer } from '../../dist/examples/recommendation-feed/server.js';
import { temporaryDirectory } from '../support/directory.js';
import { manifestOf } from '../support/manifest.js';
import { output, startNode } from '../support/node-process.js';
import { anyRedis, missing, type RedisServer, skipped } from '../support/redis.js';
import { ranked } from '../support/sink-suite.js';

const publisher = `
  import { createLmdbSink, lmdbOptions } from '#connectors/lmdb/sink.js';
  import { publicationOf, ranked } from '#src/testing/index.js';
  const [, path, version, minute] = process.argv;
  const sink = createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path }));
  await sink.connect();
  await sink.begin(publicationOf(version, Number(minute)));
  await sink.write('users', [ranked('a/b ž', [version, 'x'])]);
  await sink.write('items', [ranked('x', ['y'])]);
  await sink.finish();
  await sink.point(version);
  await sink.close();
`;

async function publish(sink: Sink, version: string, minute = 0): Promise<void> {
  await sink.connect();
  await sink.begin(manifestOf(version, minute));
  await sink.write('users', [ranked('a/b ž', [version, 'x'])]);
  await sink.write('items', [ranked('x', ['y'])]);
  await sink.finish();
  await sink.point(version);
  await sink.close();
}

/** Publishes, serves, asks, publishes again and asks again. */
async function serve(
  publishAs: (version: string, minute: number) => Promise<unknown>,
  openFeeds: () => Promise<Feeds>,
): Promise<void> {
  await publishAs('v1', 0);
  const feeds = await openFeeds();
  const server = feedServer(feeds).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const user = `${base}/users/${encodeURIComponent('a/b ž')}`;
  try {
    const first = await fetch(user);
    expect([first.status, first.headers.get('x-model-version')]).toEqual([200, 'v1']);
    expect(await first.json()).toEqual({ items: ['v1', 'x'], scores: [1, 0.5] });
    expect(await (await fetch(`${base}/items/x`)).json()).toEqual({ items: ['y'], scores: [1] });
    for (const path of ['/users/nobody', '/', '/users/%', '/users/a/b'])
      expect((await fetch(base + path)).status, path).toBe(404);
    await publishAs('v2', 1);
    await expect.poll(async () => (await fetch(user)).headers.get('x-model-version')).toBe('v2');
    const report = await load(base, ['a/b ž'], { connections: 4, seconds: 0.3 });
    expect(report.failed).toBe(0);
    expect(report.requests).toBeGreaterThan(3);
    const metrics = (await (await fetch(`${base}/metrics`)).json()) as { requests: number };
    expect(metrics.requests).toBeGreaterThan(report.requests);
  } finally {
    server.close();
    server.closeAllConnections();
    await feeds.close();
  }
}

it('serves what LMDB holds', async () => {
  const path = join(temporaryDirectory(), 'feeds.lmdb');
  await serve(
    // As in life, the publisher is another process than the service: LMDB takes an environment once a process.
    (version, minute) => output(startNode(publisher, [path, version, String(minute)])),
    () => lmdbFeeds(path, 'sansa'),
  );
});

describe.skipIf(skipped(missing))('over Redis', () => {
  let server: Pick<RedisServer, 'url' | 'remove'>;
  beforeAll(async () => {
    server = await anyRedis();
  });
  afterAll(() => server?.remove());

  it('serves what Redis holds', async () => {
    const { url } = server;
    await serve(
      (version, minute) =>
        publish(
          createRedisSink(redisOptions.parse({ type: 'redis', url, prefix: 'example' })),
          version,
          minute,
        ),
      () => redisFeeds(url, 'example'),
    );
  });
});
