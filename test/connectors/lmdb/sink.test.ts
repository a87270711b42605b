import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLmdbSink, lmdbOptions } from '#connectors/lmdb/sink.js';
import { manifestOf } from '../../support/manifest.js';
import { output, startNode, startShell } from '../../support/node-process.js';
import { inPlaceSuite, leaseSuite, publishOn, ranked, sinkSuite } from '../../support/sink-suite.js';

const sinkOn = (path: string, more: object = {}) =>
  createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path, ...more }));

sinkSuite('lmdb json', path => sinkOn(path));
sinkSuite('lmdb msgpack', path => sinkOn(path, { encoding: 'msgpack' }));
/** Of no byte may be mapped, so that all lists wait, and are counted by another process. */
const smallSinkOn = (path: string, more: object = {}) =>
  createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path, ...more }), 0);
sinkSuite('lmdb, larger than its memory', path => smallSinkOn(path));
leaseSuite('lmdb, larger than its memory', path => smallSinkOn(path, { leaseMs: 1000 }), { leaseMs: 1000 });
inPlaceSuite('lmdb json', path => sinkOn(path, { mode: 'inplace' }));
inPlaceSuite('lmdb msgpack', path => sinkOn(path, { mode: 'inplace', encoding: 'msgpack' }));
leaseSuite('lmdb', path => sinkOn(path, { leaseMs: 1000 }), { leaseMs: 1000 });

describe('lmdb store', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'lmdb-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  const publish = (version: string, more: object = {}) => publishOn(sinkOn(path, more), version);

  it.each(['json', 'msgpack'] as const)('has the documented keys for any %s reader', async encoding => {
    await publish('v1', { encoding, prefix: 'shop' });
    const settings = { encoding, readOnly: true, useRecords: false };
    const db = open<unknown, string>(path, settings);
    expect(db.get('shop:current')).toBe('v1');
    expect(db.get('shop:v1:u:x')).toEqual({ items: ['v1'], scores: [1] });
    expect(db.get('shop:v1:i:i')).toEqual({ items: ['v1'], scores: [1] });
    expect(db.get('shop:v1')).toEqual({ ...manifestOf('v1'), lists: { users: 1, items: 1 } });
    expect([...db.getKeys()]).toHaveLength(4);
    await db.close();
  });

  it('writes msgpack that needs no extension', async () => {
    await publish('v1', { encoding: 'msgpack' });
    const db = open<Buffer, string>(path, { encoding: 'binary', readOnly: true });
    const value = db.get('sansa:v1:u:x')!.toString('hex');
    await db.close();
    const [items, scores] = ['items', 'scores'].map(name => Buffer.from(name).toString('hex'));
    // Map of 2: "items" → array of 1: "v1"; "scores" → array of 1: the float32 1.
    expect(value).toBe(`82a5${items}91a27631a6${scores}91ca3f800000`);
  });

  it('holds several prefixes that do not see each other', async () => {
    await publish('v1', { prefix: 'shop' });
    await publish('v2', { prefix: 'shop-b' });
    const shop = sinkOn(path, { prefix: 'shop' });
    await shop.connect();
    expect(await shop.get!('users', 'x')).toEqual(ranked('x', ['v1']));
    await expect(shop.point('v2')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await shop.prune!(0);
    await shop.close();
    const other = sinkOn(path, { prefix: 'shop-b' });
    await other.connect();
    expect(await other.get!('users', 'x')).toEqual(ranked('x', ['v2']));
    await other.close();
  });

  it('deletes every key of abandoned and superseded versions', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('abandoned'));
    await sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
    await sink.close();
    await publish('v1');
    await publish('v2');
    await sink.connect();
    await sink.prune!(0);
    await sink.close();
    const db = open<unknown, string>(path, { encoding: 'json' });
    expect([...db.getKeys()].sort()).toEqual(['sansa:current', 'sansa:v2', 'sansa:v2:i:i', 'sansa:v2:u:x']);
    await db.close();
  });

  it('hashes ids that no key can hold', async () => {
    const long = ['m'.repeat(5000), `${'m'.repeat(4999)}n`];
    const sink = sinkOn(path, { prefix: 'p'.repeat(64) });
    await sink.connect();
    const version = 'v'.repeat(128);
    await sink.begin(manifestOf(version));
    await sink.write(
      'items',
      [...long, 'm'.repeat(1024)].map(id => ranked(id, [id.slice(-1), `${id.length}`])),
    );
    await sink.finish();
    await sink.point(version);
    expect(await sink.get!('items', long[0]!)).toEqual(ranked(long[0]!, ['m', '5000']));
    expect(await sink.get!('items', long[1]!)).toEqual(ranked(long[1]!, ['n', '5000']));
    expect(await sink.get!('items', 'm'.repeat(1024))).toMatchObject({ items: ['m', '1024'] });
    await sink.close();
  });

  it('refuses a store of the other encoding and a path that is no environment', async () => {
    await publish('v1', { encoding: 'msgpack' });
    await expect(sinkOn(path).connect()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    await publish('v2', { encoding: 'msgpack' });
    const file = join(path, 'plain');
    await writeFile(file, 'text');
    await expect(sinkOn(join(file, 'below')).connect()).rejects.toMatchObject({ code: 'SINK_FAILED' });
  });

  it('counts right after amendments, whatever came twice', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
    await sink.finish();
    await sink.point('v1');
    const amendment = { lists: [ranked('y', ['b']), ranked('z', ['b'])], gone: ['x', 'nobody'] };
    for (let twice = 0; twice < 2; twice++) await sink.amend!('v1', 'users', amendment);
    expect(await sink.versions()).toMatchObject([{ lists: { users: 2, items: 0 } }]);
    await sink.point('v1');
    await sink.close();
  });

  it('points at no version that lacks lists', async () => {
    await publish('v1');
    const db = open<unknown, string>(path, { encoding: 'json' });
    await db.remove('sansa:v1:u:x');
    await db.close();
    const sink = sinkOn(path);
    await sink.connect();
    await expect(sink.point('v1', 'candidate')).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 0 of its 1 lists of users'),
    });
    await sink.close();
  });

  it('completes no version that lacks lists', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    const items = Array.from({ length: 40 }, (_, k) => `item-${k}`);
    // More than one transaction takes: the first ones are in the file.
    for (let from = 0; from < 8000; from += 1000)
      await sink.write(
        'users',
        Array.from({ length: 1000 }, (_, k) => ranked(`user-${from + k}`, items)),
      );
    const db = open<unknown, string>(path, { encoding: 'json' });
    expect(await db.remove('sansa:v1:u:user-0')).toBe(true);
    await db.close();
    await expect(sink.finish()).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 7999 of its 8000 lists of users'),
    });
    await sink.close();
  });

  it('counts again right behind the completion, and lets the lease be renewed meanwhile', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    const many = Array.from({ length: 20_000 }, (_, k) => ranked(`user-${k}`, ['a']));
    await sink.write('users', many);
    await sink.finish();
    let turns = 0;
    const turn = (): void => {
      turns++;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    await sink.point('v1', 'candidate');
    clearImmediate(next);
    expect(turns).toBeGreaterThan(20_000 / 1000);
    const db = open<unknown, string>(path, { encoding: 'json' });
    await db.remove('sansa:v1:u:user-7');
    await db.close();
    await expect(sink.point('v1')).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 19999 of its 20000 lists of users'),
    });
    await sink.close();
  });

  it('forgets in two files of one directory at the same time', async () => {
    const files = ['a.mdb', 'b.mdb', 'c.mdb'];
    const sinks = files.map(name => sinkOn(join(path, name)));
    for (const [k, sink] of sinks.entries()) {
      await publishOn(sink, `v${k}`);
      await sink.connect();
    }
    const found = await Promise.all(sinks.map(sink => sink.forget!({ users: ['nobody'], items: [] })));
    expect(found.map(f => f.remains)).toEqual([[], [], []]);
    for (const sink of sinks) await sink.close();
    for (const [k, name] of files.entries()) {
      const db = open<unknown, string>(join(path, name), { encoding: 'json', readOnly: true });
      expect(db.get('sansa:current')).toBe(`v${k}`);
      expect(db.get(`sansa:v${k}:u:x`)).toEqual({ items: [`v${k}`], scores: [1] });
      await db.close();
    }
  });

  it('refuses a damaged file by name, and this process lives', async () => {
    const file = join(path, 'feeds.lmdb');
    const sink = sinkOn(file);
    await sink.connect();
    await sink.begin(manifestOf('v1'));
    await sink.write(
      'users',
      Array.from({ length: 3000 }, (_, k) => ranked(`u${k}`, ['a', 'b'])),
    );
    await sink.finish();
    await sink.close();
    const sound = await readFile(file);
    const noise = (from: number) => Buffer.from(sound).fill('noise', from);
    for (const bytes of [sound.subarray(0, sound.length / 2), noise(0), noise(8192), Buffer.from('text')]) {
      await writeFile(file, bytes);
      await expect(sinkOn(file).connect()).rejects.toMatchObject({
        code: 'SINK_FAILED',
        message: expect.stringContaining(`${file} is damaged`),
      });
    }
    await writeFile(file, sound);
    const again = sinkOn(file);
    await again.connect();
    expect(await again.versions()).toMatchObject([{ version: 'v1', complete: true }]);
    await again.close();
  });

  it('says once that the disk is full, and goes on when it is not', async () => {
    const limited = startShell(
      `trap '' XFSZ; ulimit -f 4000; exec "$0" --input-type=module --eval "$1" "$2"`,
      `
      import { createLmdbSink, lmdbOptions } from '#connectors/lmdb/sink.js';
      const sink = createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path: process.argv[1] }));
      const list = k => ({ id: 'u' + k, items: Array(100).fill('item'), scores: Array(100).fill(1) });
      await sink.connect();
      for (const [version, count] of [['v1', 20000], ['v2', 10]]) {
        await sink.begin({ version, createdAt: '2026-01-01T00:00:00.000Z' });
        try {
          for (let k = 0; k < count; k += 1000)
            await sink.write('users', Array.from({ length: Math.min(count, 1000) }, (_, i) => list(k + i)));
          await sink.finish();
          await sink.point(version);
        } catch (error) {
          console.log(error.code, error.message.replace(/.*: /, ''));
        }
      }
      console.log(await sink.current());
      await sink.close();
      `,
      [join(path, 'feeds.lmdb')],
    );
    let printed = '';
    limited.stderr!.setEncoding('utf8').on('data', (part: string) => (printed += part));
    const text = await output(limited);
    expect(printed).toBe('');
    expect(text.trim().split('\n')).toEqual([
      'SINK_FAILED the disk took nothing of what was written; it may be full',
      'v2',
    ]);
  });

  it('shows another process whole versions only, while versions are published', async () => {
    const users = Array.from({ length: 50 }, (_, k) => `user ${k}`);
    const sink = sinkOn(path);
    await sink.connect();
    const publishAll = async (version: string, minute: number) => {
      await sink.begin(manifestOf(version, minute));
      for (const user of users) await sink.write('users', [ranked(user, [version])]);
      await sink.finish();
      await sink.point(version);
      await sink.prune!(2);
    };
    await publishAll('v0', 0);
    // Reads pointer and list through the sink until told to stop; fails on a missing or a foreign list.
    const reader = startNode(
      `
      import { createLmdbSink, lmdbOptions } from '#connectors/lmdb/sink.js';
      const sink = createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path: process.argv[1] }));
      await sink.connect();
      let reading = true;
      const seen = new Set();
      process.stdin.on('data', () => { reading = false; });
      console.log('ready');
      while (reading) {
        for (let k = 0; k < 50; k++) {
          const before = await sink.current();
          const list = await sink.get('users', 'user ' + k);
          const after = await sink.current();
          if (list?.items[0] !== before && list?.items[0] !== after) throw new Error(before + ' ' + JSON.stringify(list));
          seen.add(list.items[0]);
        }
        await new Promise(resolve => setImmediate(resolve));
      }
      seen.add(await sink.current());
      await sink.close();
      process.stdin.destroy();
      console.log([...seen].join(' '));
      `,
      [path],
    );
    const result = output(reader);
    await new Promise(resolve => reader.stdout!.once('data', resolve));
    for (let k = 1; k <= 12; k++) await publishAll(`v${k}`, k);
    reader.stdin!.write('stop\n');
    const seen = (await result).trim().split(/\s+/).slice(1);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toBe('v12');
    await sink.close();
  });
});
