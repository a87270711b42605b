/** What goes wrong with a Redis: every case ends in a publication that is whole, or in one clear error. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createRedisSink, redisOptions } from '#connectors/redis/sink.js';
import type { RankedList, Sink } from '#src/contracts/index.js';
import { manifestOf } from '../../support/manifest.js';
import { missingOwn, onRedis, type RedisServer, skipped, startRedis } from '../../support/redis.js';
import { ranked } from '../../support/sink-suite.js';

const servers: RedisServer[] = [];
const sinks: Sink[] = [];
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close();
  for (const server of servers.splice(0)) await server.remove();
});

async function redis(...settings: readonly string[]): Promise<RedisServer> {
  const server = await startRedis(...settings);
  servers.push(server);
  return server;
}

async function sinkOn(url: string, more: object = {}): Promise<Sink> {
  const sink = createRedisSink(redisOptions.parse({ type: 'redis', url, timeoutMs: 2000, ...more }));
  sinks.push(sink);
  await sink.connect('owner');
  return sink;
}

const lists = (count: number, from = 0, bytes = 10): RankedList[] =>
  Array.from({ length: count }, (_, k) => ranked(`u${from + k}`, ['i'.repeat(bytes)]));

async function publish(sink: Sink, version: string, minute = 0): Promise<void> {
  await sink.begin(manifestOf(version, minute));
  await sink.write('users', lists(100));
  await sink.finish();
  await sink.point(version);
}

describe.skipIf(skipped(missingOwn))('a Redis', () => {
  it('that is gone for a moment is waited for', async () => {
    const server = await redis('--appendonly', 'yes', '--appendfsync', 'always');
    const sink = await sinkOn(server.url);
    await publish(sink, 'v1');
    await onRedis(server.url, send => send('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
    await sink.begin(manifestOf('v2', 1));
    await onRedis(server.url, send => send('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
    await sink.write('users', lists(100));
    await sink.finish();
    await sink.point('v2');
    expect(await sink.get!('users', 'u99')).toEqual(ranked('u99', ['i'.repeat(10)]));
  });

  it('that is restarted in the middle makes no version complete, whatever it kept', async () => {
    const server = await redis('--appendonly', 'yes', '--appendfsync', 'no');
    const sink = await sinkOn(server.url);
    await publish(sink, 'v1');
    await sink.begin({ ...manifestOf('v2', 1), content: 'c' });
    await sink.write('users', lists(100));
    await server.stop('kill');
    await server.start();
    await expect(sink.write('users', lists(100, 100)).then(() => sink.finish())).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringMatching(/restarted|lease was lost/),
    });
    await expect(sink.point('v2')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await sink.close();
    await sink.connect('owner');
    expect(await sink.begin({ ...manifestOf('v2', 1), content: 'c' })).toEqual({ users: 0, items: 0 });
    await sink.write('users', lists(200));
    await sink.finish();
    await sink.point('v2');
    expect(await sink.current()).toBe('v2');
  });

  it('that stays away is one clear error', async () => {
    const server = await redis();
    const sink = await sinkOn(server.url);
    await sink.begin(manifestOf('v1'));
    await server.stop('kill');
    await expect(sink.write('users', lists(10))).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('expected to write lists of users, found'),
    });
    await expect(sinkOn(server.url)).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringMatching(/expected to connect, found .*ECONNREFUSED|no connection/),
    });
  });

  it('without memory keeps the version it has, and gets back what was written of the next', async () => {
    const server = await redis('--maxmemory', '8mb', '--maxmemory-policy', 'noeviction');
    const sink = await sinkOn(server.url);
    await publish(sink, 'v1');
    await sink.begin(manifestOf('v2', 1));
    const flood = async () => {
      for (let from = 0; from < 20_000; from += 1000) await sink.write('users', lists(1000, from, 1000));
    };
    await expect(flood()).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('OOM command not allowed'),
    });
    await expect(sink.point('v2')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await sink.get!('users', 'u1')).toBeDefined();
    const keys = await onRedis(server.url, send => send('KEYS', 'sansa:v2*'));
    expect(keys).toEqual([]);
    await sink.close();
    const next = await sinkOn(server.url);
    await publish(next, 'v3', 2);
    expect(await next.current()).toBe('v3');
  });

  it('that evicts lists meanwhile does not get its pointer moved', async () => {
    const server = await redis('--maxmemory', '8mb', '--maxmemory-policy', 'allkeys-lru');
    const sink = await sinkOn(server.url);
    await sink.begin(manifestOf('v1'));
    // An evicted lease is noticed by the next write already.
    const written = (async () => {
      for (let from = 0; from < 20_000; from += 1000) await sink.write('users', lists(1000, from, 1000));
      await sink.finish();
    })();
    await expect(written).rejects.toMatchObject({
      message: expect.stringMatching(/evicted \d+ keys meanwhile|lease was lost|restarted/),
    });
    await expect(sink.point('v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });

  it('that is a read-only replica says so', async () => {
    const master = await redis();
    const replica = await redis('--replicaof', '127.0.0.1', String(master.port));
    const sink = await sinkOn(replica.url);
    await expect(sink.begin(manifestOf('v1'))).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('READONLY'),
    });
  });

  it('with another password says so, without telling any', async () => {
    const server = await redis('--requirepass', 'right');
    const wrong = sinkOn(server.url.replace('//', '//:wrong@'));
    await expect(wrong).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringContaining('WRONGPASS'),
    });
    await expect(wrong).rejects.not.toMatchObject({ message: expect.stringContaining('wrong@') });
    await expect(sinkOn(server.url)).rejects.toMatchObject({ code: 'ACCESS_REFUSED', retryable: false });
    const sink = await sinkOn(server.url, { password: 'right' });
    await publish(sink, 'v1');
    expect(await sink.current()).toBe('v1');
  });

  it('with access rules needs only its own keys and a few commands', async () => {
    const server = await redis();
    const rules = [
      'on',
      '>secret',
      '~shop:*',
      '+@read',
      '+@write',
      '+@connection',
      '+eval',
      '+info',
      '-@dangerous',
      '+info',
    ];
    await onRedis(server.url, send => send('ACL', 'SETUSER', 'feeds', ...rules));
    const account = { username: 'feeds', password: 'secret' };
    const sink = await sinkOn(server.url, { ...account, prefix: 'shop' });
    await publish(sink, 'v1');
    await publish(sink, 'v2', 1);
    await sink.prune!(0);
    expect(await sink.current()).toBe('v2');
    const other = await sinkOn(server.url, { ...account, prefix: 'other' });
    await expect(other.begin(manifestOf('v1'))).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringContaining('NOPERM'),
    });
    // What a script may not do is refused in the middle of an attempt.
    await sink.begin(manifestOf('v3', 2));
    await onRedis(server.url, send => send('ACL', 'SETUSER', 'feeds', '-mset'));
    await expect(sink.write('users', lists(1)).then(() => sink.finish())).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
    });
  });

  it('cluster takes keys on every node, and follows them when they move', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'redis-cluster-'));
    const nodes = [0, 1, 2].map(k =>
      redis('--cluster-enabled', 'yes', '--cluster-config-file', join(directory, `nodes-${k}.conf`)),
    );
    const cluster = await Promise.all(nodes);
    try {
      const share = [0, 5461, 10922, 16384];
      for (const [k, { url }] of cluster.entries())
        await onRedis(url, async send => {
          await send('CLUSTER', 'ADDSLOTSRANGE', String(share[k]), String(share[k + 1]! - 1));
          for (const other of cluster) await send('CLUSTER', 'MEET', '127.0.0.1', String(other.port));
        });
      for (const { url } of cluster) {
        const state = () => onRedis(url, send => send('CLUSTER', 'INFO'));
        while (!String(await state()).includes('cluster_state:ok')) await sleep(100);
      }
      const sink = await sinkOn(cluster.map(node => node.url).join(','));
      await publish(sink, 'v1');
      const sizes = await Promise.all(cluster.map(({ url }) => onRedis(url, send => send('DBSIZE'))));
      expect(sizes.every(size => Number(size) > 10)).toBe(true);
      // Slot 0 … 99 go to the next node, after the sink has learnt where everything is; they are empty but for lists.
      await sink.begin(manifestOf('v2', 1));
      await moveSlots(cluster[0]!, cluster[1]!, 100);
      await sink.write('users', lists(2000));
      await sink.finish();
      await sink.point('v2');
      for (const k of [0, 1, 999, 1999]) expect(await sink.get!('users', `u${k}`), `u${k}`).toBeDefined();
      await sink.prune!(0);
      expect((await sink.versions()).map(v => v.version)).toEqual(['v2']);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

/** Moves the first slots of a node, with their keys, to another. */
async function moveSlots(from: RedisServer, to: RedisServer, count: number): Promise<void> {
  const idOf = ({ url }: RedisServer) => onRedis(url, async send => String(await send('CLUSTER', 'MYID')));
  const [source, target] = [await idOf(from), await idOf(to)];
  await onRedis(from.url, sendFrom =>
    onRedis(to.url, async sendTo => {
      for (let slot = 0; slot < count; slot++) {
        const s = String(slot);
        await sendTo('CLUSTER', 'SETSLOT', s, 'IMPORTING', source);
        await sendFrom('CLUSTER', 'SETSLOT', s, 'MIGRATING', target);
        for (const key of (await sendFrom('CLUSTER', 'GETKEYSINSLOT', s, '100')) as string[])
          await sendFrom('MIGRATE', '127.0.0.1', String(to.port), key, '0', '5000');
        await sendTo('CLUSTER', 'SETSLOT', s, 'NODE', target);
        await sendFrom('CLUSTER', 'SETSLOT', s, 'NODE', target);
      }
    }),
  );
}
