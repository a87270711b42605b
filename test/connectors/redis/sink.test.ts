import { basename } from 'node:path';
import { createClient, RESP_TYPES } from '@redis/client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createRedisSink, redisOptions } from '#connectors/redis/sink.js';
import { RedisStore } from '#connectors/redis/store.js';
import type { Sink } from '#src/contracts/index.js';
import { manifestOf } from '../../support/manifest.js';
import { anyRedis, missing, onRedis, type RedisServer, skipped } from '../../support/redis.js';
import { inPlaceSuite, leaseSuite, ranked, sinkSuite } from '../../support/sink-suite.js';
import { type FoundVector, ids, keepsVectors, vectorsAt } from '../../support/vectors.js';

let server: Pick<RedisServer, 'url' | 'remove'>;

const sinkOn = (prefix: string, more: object = {}): Sink =>
  createRedisSink(redisOptions.parse({ type: 'redis', url: server.url, prefix: basename(prefix), ...more }));

describe.skipIf(skipped(missing))('redis', () => {
  beforeAll(async () => {
    server = await anyRedis();
  });
  afterAll(() => server?.remove());

  sinkSuite('redis json', path => sinkOn(path));
  sinkSuite('redis msgpack', path => sinkOn(path, { encoding: 'msgpack' }));
  inPlaceSuite('redis json', path => sinkOn(path, { mode: 'inplace' }));
  inPlaceSuite('redis msgpack', path => sinkOn(path, { mode: 'inplace', encoding: 'msgpack' }));
  leaseSuite('redis', path => sinkOn(path, { leaseMs: 3000 }), { leaseMs: 3000, keepsWhatRanOut: false });

  const keysOf = (prefix: string) =>
    onRedis(server.url, async send => ((await send('KEYS', `${prefix}:*`)) as string[]).sort());

  async function publish(prefix: string, version: string, minute: number, more: object = {}): Promise<void> {
    const sink = sinkOn(prefix, more);
    await sink.connect();
    await sink.begin(manifestOf(version, minute));
    await sink.write('users', [ranked('x', [version]), ranked('ž:1', [version])]);
    await sink.write('items', [ranked('i', [version])]);
    await sink.finish();
    await sink.point(version);
    await sink.prune!(1);
    await sink.close();
  }

  it('has the documented keys for any reader', async () => {
    await publish('shop', 'v1', 0);
    await onRedis(server.url, async send => {
      expect(await send('GET', 'shop:current')).toBe('v1');
      expect(JSON.parse(String(await send('GET', 'shop:v1:u:x')))).toEqual({ items: ['v1'], scores: [1] });
      expect(JSON.parse(String(await send('GET', 'shop:v1:u:ž:1')))).toEqual({ items: ['v1'], scores: [1] });
      expect(JSON.parse(String(await send('GET', 'shop:v1')))).toMatchObject({
        lists: { users: 2, items: 1 },
      });
    });
  });

  it.each(['dense', 'sparse'] as const)(
    'keeps %s vectors as hashes until their item is forgotten',
    async form => {
      const key = (id: string) => `${form}:v1:v:${id}`;
      const numbers = (blob: unknown, type: typeof Float32Array | typeof Int32Array) => {
        const bytes = Buffer.from(blob as Buffer);
        return Array.from({ length: bytes.length / 4 }, (_, k) =>
          type === Float32Array ? bytes.readFloatLE(4 * k) : bytes.readInt32LE(4 * k),
        );
      };
      const client = createClient({ url: server.url }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
      await client.connect();
      const read = async () => {
        const found: [string, FoundVector][] = [];
        for (const id of ids) {
          const fields = await client.hGetAll(key(id));
          if (Object.keys(fields).length === 0) continue;
          const { vector, values, indices, dimension } = fields as Record<string, Buffer>;
          found.push([
            id,
            {
              values: numbers(vector ?? values, Float32Array),
              indices: indices && numbers(indices, Int32Array),
              dimension: dimension ? Number(String(dimension)) : -1,
            },
          ]);
        }
        return found;
      };
      await keepsVectors(sinkOn(form), form, read);
      await client.del(key('a'));
      const sink = sinkOn(form, { graceMs: 0 });
      await sink.connect();
      await expect(sink.point('v1', 'third')).rejects.toMatchObject({ message: /has 2 of its 3 vectors/ });
      await publish(form, 'v2', 1);
      await sink.point('v2', 'other');
      await sink.prune!(0);
      await sink.close();
      expect(await client.keys(`${form}:v1:*`)).toEqual([]);
      client.destroy();
    },
  );

  it('overwrites lists in place without vectors', () => {
    expect(sinkOn('live', { mode: 'inplace' }).writeVectors).toBeUndefined();
  });

  it('lets readers of a superseded version finish, and then leaves no key of it', async () => {
    await publish('grace', 'v1', 0, { graceMs: 400 });
    await publish('grace', 'v2', 1, { graceMs: 400 });
    await onRedis(server.url, async send => {
      expect(await send('GET', 'grace:current')).toBe('v2');
      expect(await send('GET', 'grace:v1:u:x')).not.toBeNull();
      expect(Number(await send('PTTL', 'grace:v1:u:x'))).toBeGreaterThan(0);
      expect(Number(await send('PTTL', 'grace:v2:u:x'))).toBe(-1);
    });
    await expect
      .poll(() => keysOf('grace'), { timeout: 5000 })
      .toEqual([
        'grace:aliases',
        'grace:current',
        'grace:v2',
        'grace:v2:i:i',
        'grace:v2:keys:0',
        'grace:v2:keys:1',
        'grace:v2:u:x',
        'grace:v2:u:ž:1',
        'grace:versions',
      ]);
  });

  it('goes on with the deletion of a version that a crash cut off', async () => {
    await publish('cut', 'v1', 0, { graceMs: 0 });
    await onRedis(server.url, async send => {
      const entry = JSON.parse(String(await send('HGET', 'cut:versions', 'v1'))) as object;
      await send('HSET', 'cut:versions', 'v1', JSON.stringify({ ...entry, leaving: true }));
      await send('DEL', 'cut:v1', 'cut:v1:keys:0', 'cut:v1:u:x', 'cut:v1:u:ž:1');
    });
    await publish('cut', 'v2', 1, { graceMs: 0 });
    expect((await keysOf('cut')).filter(key => key.startsWith('cut:v1'))).toEqual([]);
  });

  it('leaves no key without a time to live when an amendment was cut off', async () => {
    const sink = sinkOn('amend', { graceMs: 0 });
    await sink.connect();
    const write = async (version: string, minute: number) => {
      await sink.begin(manifestOf(version, minute));
      await sink.write('users', [ranked('x', [version]), ranked('gone', [version])]);
      await sink.finish();
      await sink.point(version);
    };
    await write('v1', 0);
    await onRedis(server.url, async send => {
      await send('SET', 'amend:v1:keys:1', JSON.stringify(['u:a']));
      await send('SET', 'amend:v1:u:a', '{}');
    });
    const amendment = { lists: [ranked('a', ['a']), ranked('b', ['a'])], gone: ['gone'], change: 2 };
    await sink.amend!('v1', 'users', amendment);
    expect(await sink.versions()).toMatchObject([{ lists: { users: 3, items: 0 }, change: 2 }]);
    await sink.amend!('v1', 'users', { lists: [], gone: ['b'] });
    expect(await sink.versions()).toMatchObject([{ lists: { users: 2, items: 0 } }]);
    await write('v2', 1);
    await sink.prune!(0);
    await sink.close();
    expect((await keysOf('amend')).filter(key => key.startsWith('amend:v1'))).toEqual([]);
  });

  it.each([
    ['index', 1],
    ['register', 2],
  ] as const)(
    'has the right numbers when a forgetting was cut off at call of %s no. %i',
    async (step, nth) => {
      const sink = sinkOn(`cut-${step}`);
      await sink.connect();
      await sink.begin({ ...manifestOf('v1'), vectors: vectorsAt('sparse', 0, 4).shape });
      await sink.write('users', [ranked('her', ['a']), ranked('x', ['a'])]);
      await sink.write(
        'items',
        ids.map(id => ranked(id, ['a'])),
      );
      await sink.writeVectors!(vectorsAt('sparse', 0, 4));
      await sink.finish();
      await sink.point('v1');
      const real = RedisStore.prototype[step] as (...args: unknown[]) => Promise<void>;
      let calls = 0;
      const cut = vi.spyOn(RedisStore.prototype, step).mockImplementation(function (
        this: RedisStore,
        ...args: unknown[]
      ) {
        if (++calls === nth) throw new Error('cut off');
        return real.apply(this, args);
      });
      const erased = { users: ['her'], items: ['b:ž'] };
      await expect(sink.forget!(erased)).rejects.toMatchObject({ code: 'SINK_FAILED' });
      cut.mockRestore();
      await sink.forget!(erased);
      expect(await sink.versions()).toMatchObject([
        { lists: { users: 1, items: 3 }, vectors: { count: 3, entries: 2 } },
      ]);
      expect(Object.keys((await sink.versions())[0]!)).not.toContain('forgetting');
      await sink.point('v1');
      await sink.close();
    },
  );

  it('points at no version that lacks lists', async () => {
    await publish('lacks', 'v1', 0);
    await onRedis(server.url, send => send('DEL', 'lacks:v1:u:x'));
    const sink = sinkOn('lacks');
    await sink.connect();
    await expect(sink.point('v1', 'candidate')).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 1 of its 2 lists of users'),
    });
    await sink.close();
  });

  it('keeps no lease behind', async () => {
    await publish('lease', 'v1', 0);
    expect(await keysOf('lease')).not.toContain('lease:lease');
  });

  it('takes over from a publisher that fell silent', async () => {
    await onRedis(server.url, send => send('SET', 'stale:lease', 'somebody', 'PX', '60000'));
    await expect(publish('stale', 'v1', 0)).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringContaining('publisher somebody is writing here'),
    });
    await onRedis(server.url, send => send('PEXPIRE', 'stale:lease', '50'));
    await expect
      .poll(
        () =>
          publish('stale', 'v1', 0).then(
            () => true,
            () => false,
          ),
        { timeout: 5000 },
      )
      .toBe(true);
  });

  it('stops when its lease is lost, and does not complete the version', async () => {
    const sink = sinkOn('lost');
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [ranked('x', ['a'])]);
    await onRedis(server.url, send => send('SET', 'lost:lease', 'somebody'));
    await expect(sink.finish()).rejects.toMatchObject({ message: expect.stringContaining('lease was lost') });
    await expect(sink.point('v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await sink.close();
    expect(await onRedis(server.url, send => send('GET', 'lost:lease'))).toBe('somebody');
  });
});
