/**
 * A process that dies by SIGKILL at any named point loses nothing and counts nothing twice: the next process
 * on the state makes what the dead one owed, once. Interactions add up, so an event taken twice shows in X.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { failpoints } from '#src/runtime/failpoint.js';
import { seeded } from '../support/random.js';
import {
  matrixOf,
  type Sale,
  type Shop,
  salesSource,
  shop,
  startCli,
  stopCli,
  summed,
  until,
} from '../support/service.js';

/** Later passings of points that are passed for every batch. */
const again = ['ingest:appended#3', 'fold:segment-written#3', 'fold:committed#2', 'compact:committed#2'];

const random = seeded(11);
const pick = (n: number) => Math.floor(random() * n);
const sales: readonly Sale[] = Array.from({ length: 150 }, (_, k) => ({
  user: k % 50 === 7 ? null : `u${pick(12)}`,
  item: `i${pick(9)}`,
  weight: 1 + pick(3),
}));

let root = '';
let fresh: Shop;
let ingested: Shop;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sansa-stream-crash-'));
  fresh = shop(join(root, 'fresh'));
  mkdirSync(fresh.directory);
  fresh.configure({ fold: { maxEvents: 40 }, schedule: { fold: { cron: '0 0 1 1 *' } } });
  await fresh.create();
  await fresh.sell(sales);
  await fresh.signal('once', 'refit');
  ingested = shop(join(root, 'ingested'));
  cpSync(fresh.directory, ingested.directory, { recursive: true });
  expect(await ingested.command('ingest')).toMatchObject({ code: 0, json: { events: 147, deadLetters: 3 } });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

it('every listed point is passed somewhere', () => {
  const text = ['src', 'connectors', 'jobs']
    .flatMap(layer => readdirSync(layer, { recursive: true, encoding: 'utf8' }).map(f => join(layer, f)))
    .filter(file => file.endsWith('.ts'))
    .map(file => readFileSync(file, 'utf8'))
    .join('\n');
  expect(failpoints.filter(name => !text.includes(`failpoint('${name}')`))).toEqual([]);
});

/**
 * The points of an erasure are passed in forget.test.ts, those of items that leave in leave.test.ts; that of a merge, which
 * only large states make, below.
 */
const passed = failpoints.filter(name => !/^(forget|history|leave|merge):/.test(name));

it.concurrent.each([...passed, ...again])('dies at %s and goes on', { timeout: 60_000 }, async point => {
  const from = point.startsWith('ingest:') ? fresh : ingested;
  const s = shop(join(root, point.replace(/\W/g, '-')));
  cpSync(from.directory, s.directory, { recursive: true });

  const dead = s.run({ SANSA_STREAM_CRASH_AT: point });
  expect(await dead.ended, dead.errors()).toEqual({ code: null, signal: 'SIGKILL' });

  const next = s.run();
  const [result] = await s.resultsOf(next, 1);
  expect(result).toMatchObject({ id: 'once', status: 'done', message: 'fitted and published' });
  expect(await stopCli(next), next.errors()).toMatchObject({ code: 0 });
  expect(await s.results()).toEqual([result]);
  const version = result!.version!;

  const files = { gramian: s.files('gramian'), models: s.files('models') };
  await s.open(async pipeline => {
    const { store } = pipeline.parts;
    expect(await pipeline.ingest()).toEqual({ events: 0, deadLetters: 0 });
    expect(await store.pending()).toBe(0);
    expect(await pipeline.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
    expect(await matrixOf(pipeline)).toEqual(summed(sales));
    expect(await store.folded()).toBe(147);
    expect((await store.deadLetters(10)).map(d => d.sequence).sort((a, b) => a - b)).toEqual([7, 57, 107]);
    expect(files.gramian).toEqual((await store.segments()).map(f => f.file).sort());
    expect(files.models).toEqual([version]);
    expect(await store.models()).toMatchObject([{ version, published: true }]);
    const done = (await store.runs(100)).filter(r => r.status === 'done' && r.job !== 'fold');
    expect(done.map(r => [r.job, r.version]).sort()).toEqual([
      ['publish', version],
      ['refit', version],
    ]);
  });

  expect(await s.published()).toEqual({ lmdb: version, files: version });
  const feed = join(s.directory, 'feeds');
  expect(readdirSync(feed).sort()).toEqual([version, 'current'].sort());
  expect(existsSync(join(feed, version, 'manifest.json'))).toBe(true);
  const users = readFileSync(join(feed, version, 'users.ndjson'), 'utf8')
    .trim()
    .split('\n');
  expect(users).toHaveLength(12);
});

/** So many rows that folds make lookup files. */
const bulk: readonly Sale[] = Array.from({ length: 110_000 }, (_, k) => ({
  user: `u${k % 6007}`,
  item: `i${(k * k) % 89}`,
  weight: 1 + (k % 3),
}));

it('dies while it merges, and merges then', { timeout: 120_000 }, async () => {
  const s = shop(join(root, 'merge'));
  mkdirSync(s.directory);
  s.configure({ sources: [{ ...salesSource, batchSize: 20_000 }] });
  await s.create();
  const taken: Sale[] = [];
  const take = async (count: number) => {
    const more = bulk.slice(0, count);
    taken.push(...more);
    await s.sell(more);
    await s.command('ingest');
  };
  const lookups = () => (existsSync(join(s.directory, 'state', 'lookups')) ? s.files('lookups') : []);
  const whole = () =>
    s.open(async pipeline => {
      expect(await pipeline.parts.store.pending()).toBe(0);
      expect(await pipeline.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
      expect(await matrixOf(pipeline)).toEqual(summed(taken));
      expect(await pipeline.parts.store.folded()).toBe(taken.length);
    });
  /** Folds of few more events until one merges; a fold makes the files of users and of items before. */
  const foldsUntil = async (merged: () => boolean, env: NodeJS.ProcessEnv = {}) => {
    for (let k = 0; k < 4; k++) {
      const folding = startCli(['fold', '-c', s.config], env);
      const { signal } = await folding.ended;
      if (signal === 'SIGKILL' || merged()) return signal;
      await take(3);
    }
    throw new Error('expected a merge within four folds');
  };

  // The first merge makes a file of rows, the second one puts another in its place.
  for (const events of [bulk.length, 9000]) {
    await take(events);
    expect(await foldsUntil(() => false, { SANSA_STREAM_CRASH_AT: 'merge:built' })).toBe('SIGKILL');
    const left = lookups();
    // The fold was committed; the next process removes the file that nobody has registered.
    await whole();
    const kept = lookups();
    expect(left).toEqual(expect.arrayContaining(kept));
    expect(left).toHaveLength(kept.length + 1);

    await take(3);
    await foldsUntil(() => lookups().some(f => !left.includes(f)));
    expect(lookups()).toHaveLength(3);
    await whole();
  }
});

it('removes what a source spilled in a process that died', async () => {
  const s = shop(join(root, 'spilled'));
  mkdirSync(s.directory);
  const query =
    'SELECT n AS line, hash(n) % 1000 AS user, n AS item FROM range(400000000) t(n) ORDER BY hash(n)';
  const { database: _, ...source } = salesSource;
  s.configure({ memory: '160MiB', database: {}, signals: undefined, sources: [{ ...source, query }] });
  const spilled = join(s.directory, 'state', 'spilled');
  const dead = startCli(['ingest', '-c', s.config]);
  const files = () => existsSync(spilled) && readdirSync(spilled, { recursive: true, encoding: 'utf8' });
  await until('rows are spilled', () => (files() || []).some(name => name.endsWith('.tmp')), { seconds: 90 });
  dead.child.kill('SIGKILL');
  await dead.ended;
  expect(await s.command('status')).toMatchObject({ code: 0 });
  expect(files()).not.toEqual([]);
  expect(await s.command('fold')).toMatchObject({ code: 0 });
  expect(files()).toBe(false);
});
