/** Items that nobody has any more leave with a compaction, whole or not at all, and nothing else changes. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { foldStep, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { failpoints } from '#src/runtime/failpoint.js';
import { runCli } from '../support/cli.js';
import { columnsOf, type TestEvent } from '../support/events.js';
import { matrixOf } from '../support/matrix.js';
import { withPipeline } from '../support/with-pipeline.js';

const root = mkdtempSync(join(tmpdir(), 'leave-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
afterEach(() => void vi.useRealTimers());

/** Live items, and between them by number those that are removed later. */
const events: readonly TestEvent[] = Array.from({ length: 400 }, (_, k) => ({
  user: `u${k % 23}`,
  item: k % 4 === 1 ? `old${(k * 7) % 31}` : `live${(k * 5) % 29}`,
  weight: 1 + (k % 3),
  ts: 1000 + k,
}));
const removals = events
  .filter(e => e.item.startsWith('old'))
  .map(e => ({ ...e, op: 'set' as const, weight: 0, ts: 5000 }));

const optionsOf = (mode: 'stored' | 'implicit', interactions: 'last' | 'sum'): PipelineOptions => ({
  state: 'state',
  semantics: { interactions },
  gramian: { mode },
  sinks: [
    { type: 'files', path: 'feed' },
    { type: 'lmdb', path: 'feed.lmdb' },
  ],
  publish: { k: 5 },
  fit: { solver: 'fsai', userWeighting: 0.5 },
});

let sequence = 0;
async function take(p: Pipeline, taken: readonly TestEvent[]): Promise<void> {
  const position = { partition: 'p/0', sequence: sequence + taken.length - 1 };
  await p.parts.store.append('shop', [{ events: columnsOf(taken, sequence), dead: [], position }]);
  sequence += taken.length;
  await foldStep(p, { trigger: 'cli' });
}

/** All item keys in the models of a state, and what is left in its folders. */
function filesOf(directory: string) {
  const models = join(directory, 'state', 'models');
  const names = readdirSync(models);
  const keys = names.flatMap(
    v => JSON.parse(readFileSync(join(models, v, 'items.json'), 'utf8')) as string[],
  );
  return { models: names, keys, segments: readdirSync(join(directory, 'state', 'gramian')) };
}

const old = (keys: readonly string[]) => keys.filter(key => key.startsWith('old'));

/** A state with two models, both published, whose old items were removed after that. */
async function prepare(directory: string, options: PipelineOptions): Promise<void> {
  await withPipeline(directory, options, async p => {
    await take(p, events);
    await refitStep(p, { trigger: 'one' });
    await p.publish();
    await refitStep(p, { trigger: 'two' }, { l2: 50 });
    await p.publish({ alias: 'candidate' });
    await take(p, removals);
  });
}

describe.each([
  ['stored', 'last'],
  ['stored', 'sum'],
  ['implicit', 'last'],
] as const)('%s, %s', (mode, interactions) => {
  it('are in no dictionary, model or list, and everything else is as before', {
    timeout: 60_000,
  }, async () => {
    const directory = join(root, `${mode}-${interactions}`);
    const options = optionsOf(mode, interactions);
    mkdirSync(directory);
    await prepare(directory, options);
    await withPipeline(directory, options, async p => {
      const { store } = p.parts;
      const versions = (await store.models()).map(m => m.version);
      const lists = async () =>
        Promise.all(
          versions.map(async v => (await p.recommend('u3', 8, v)).items.filter(i => !i.startsWith('old'))),
        );
      const before = {
        matrix: await matrixOf(p),
        popular: await store.popularItems(5),
        change: await store.newestChange(),
      };
      const keysBefore = await store.itemKeys();
      const listsBefore = await lists();

      const { items } = await p.compact();
      const keys = await store.itemKeys();
      expect(items).toBe(keysBefore.length - keys.length);
      expect(items).toBeGreaterThan(10);
      expect(keys).toEqual(keysBefore.filter(key => !key.startsWith('old')));
      expect(await matrixOf(p)).toEqual(before.matrix);
      expect(Array.from(await store.popularItems(5), i => keys[i])).toEqual(
        Array.from(before.popular, i => keysBefore[i]),
      );
      expect(await store.newestChange()).toBe(before.change);
      expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode });
      const files = filesOf(directory);
      expect(files.models.sort()).toEqual(versions);
      expect(old(files.keys)).toEqual([]);
      expect(files.segments.sort()).toEqual((await store.segments()).map(s => s.file).sort());
      const listsAfter = await lists();
      listsAfter.forEach((list, k) => void expect(list).toEqual(expect.arrayContaining(listsBefore[k]!)));
      await p.withSinks(async sinks => {
        for (const sink of sinks) {
          if (!sink.get) continue;
          expect(await sink.get('items', old(keysBefore)[0]!, 'candidate')).toBeUndefined();
          expect(old((await sink.get('users', 'u3', 'candidate'))!.items)).toEqual([]);
          expect((await sink.get('items', keys[0]!, 'candidate'))!.items.length).toBeGreaterThan(0);
        }
      });
      expect(await p.compact()).toEqual({ items: 0, merged: 0 });

      // An item comes back: what was known of its removals still decides about events that come late.
      const [{ user, item }] = removals as [TestEvent];
      await take(p, [
        { user, item, op: 'add', weight: 2, ts: 4999 },
        { user: 'somebody new', item, ts: 1 },
      ]);
      expect(await matrixOf(p)).toEqual(
        new Map([...before.matrix, [`somebody new ${item}`, 1] as const].sort()),
      );
      expect((await store.itemKeys()).at(-1)).toBe(item);
      expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode });
    });
  });
});

it('a refit lets them leave when they are more than a hundredth', { timeout: 60_000 }, async () => {
  const options = optionsOf('stored', 'last');
  const directory = join(root, 'refit');
  mkdirSync(directory);
  await withPipeline(directory, { ...options, dedupe: { window: '1d' } }, async p => {
    const { store } = p.parts;
    const live = Array.from({ length: 300 }, (_, k) => ({ user: `u${k % 7}`, item: `live${k}`, ts: k }));
    const gone = (count: number) =>
      Array.from({ length: count }, (_, k) => ({ user: 'u1', item: `old${k}`, ts: 500 }));
    await take(p, [...gone(3), ...live]);
    await take(
      p,
      gone(3).map(e => ({ ...e, op: 'remove' as const, ts: 501 })),
    );
    await refitStep(p, { trigger: 'one' });
    expect(await store.itemKeys()).toHaveLength(303);
    await take(p, gone(4));
    await take(
      p,
      gone(4).map(e => ({ ...e, op: 'remove' as const, ts: 502 })),
    );
    await refitStep(p, { trigger: 'two' });
    expect(await store.itemKeys()).toHaveLength(300);
    expect(old(filesOf(directory).keys)).toEqual([]);
    expect(await p.verify()).toMatchObject({ differing: 0, mode: 'stored' });

    // Their removals are known for the window.
    await take(p, [{ user: 'u1', item: 'old0', ts: 501 }]);
    expect((await matrixOf(p)).has('u1 old0')).toBe(false);
    await p.compact();
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3 * 86_400_000 });
    await take(p, [{ user: 'u1', item: 'live0', ts: 900 }]);
    await take(p, [{ user: 'u1', item: 'old0', ts: 501 }]);
    expect((await matrixOf(p)).has('u1 old0')).toBe(true);
  });
});

it('answers never mix numbers from before and after items left', { timeout: 60_000 }, async () => {
  const options = optionsOf('stored', 'last');
  const directory = join(root, 'answers');
  mkdirSync(directory);
  await prepare(directory, options);
  await withPipeline(directory, options, async p => {
    const { store } = p.parts;
    const history = store.history.bind(store);
    const ask = () => p.recommend('u3', 8);
    vi.spyOn(store, 'history').mockImplementationOnce(async user => {
      expect((await p.compact()).items).toBeGreaterThan(10);
      return history(user);
    });
    const during = await ask();
    expect(during.items.length).toBeGreaterThan(3);
    expect(during).toEqual(await ask());
  });
});

describe('a process that dies while items leave', () => {
  const from = join(root, 'from');
  const options = optionsOf('stored', 'last');
  beforeAll(async () => {
    mkdirSync(from);
    writeFileSync(join(from, 'p.yaml'), JSON.stringify(options));
    await prepare(from, options);
  }, 60_000);

  it.each(failpoints.filter(point => point.startsWith('leave:')))('%s', { timeout: 60_000 }, async point => {
    const directory = join(root, point.replace(':', '-'));
    cpSync(from, directory, { recursive: true });
    const dead = await runCli(['compact', '-c', 'p.yaml'], {
      cwd: directory,
      env: { SANSA_STREAM_CRASH_AT: point },
    });
    expect(dead.code, dead.stderr).toBeNull();
    await withPipeline(directory, options, async p => {
      const { store } = p.parts;
      const left = point === 'leave:committed';
      expect(old(await store.itemKeys()).length > 0).toBe(!left);
      const sound = async () => {
        expect(await p.verify()).toMatchObject({ differing: 0, broken: [], mode: 'stored' });
        for (const { version } of await store.models()) {
          expect((await p.intact(version)).version).toBe(version);
          expect((await p.recommend('u3', 5, version)).items).toHaveLength(5);
        }
        const files = filesOf(directory);
        expect(files.models.sort()).toEqual((await store.models()).map(m => m.version));
        expect(files.segments.sort()).toEqual((await store.segments()).map(s => s.file).sort());
        return files;
      };
      await sound();
      await p.compact();
      expect(old((await sound()).keys)).toEqual([]);
    });
  });
});
