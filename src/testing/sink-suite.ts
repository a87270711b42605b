import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ListKind, Publication, RankedList, Sink } from '../contracts/sink.js';

/** What the suite checks with; vitest's and jest's `expect` have it. */
export interface Expectation {
  toBe(value: unknown): void;
  toEqual(value: unknown): void;
  toMatchObject(value: object): void;
  toBeUndefined(): void;
  readonly rejects: { toMatchObject(value: object): Promise<void> };
}

/** The functions of a test runner, such as vitest's. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => Promise<void>) => unknown;
  readonly beforeEach: (body: () => Promise<void>) => unknown;
  readonly afterEach: (body: () => Promise<void>) => unknown;
  readonly expect: (value: unknown, message?: string) => Expectation;
}

/** What a sink's test gives beside the constructor. */
export interface SinkSuiteOptions {
  /** Reads a list of the current version as another program would; for sinks without `get`. */
  readonly read?: (store: string, kind: ListKind, id: string) => Promise<RankedList | undefined>;
  /** False when the format has no way to say that a list is empty. Default true. */
  readonly keepsEmptyLists?: boolean;
}

/** A sink and a reader on a fresh store. */
export interface Fixture {
  readonly store: string;
  sink: Sink;
  /** Another sink on the same store. */
  connected(owner?: string): Promise<Sink>;
  read(kind: ListKind, id: string): Promise<RankedList | undefined>;
}

/** Makes a fixture for each test of a `describe` block. */
export function fixtures(
  { beforeEach, afterEach }: TestRunner,
  makeSink: (store: string) => Sink,
  options: SinkSuiteOptions,
): Fixture {
  const open: Sink[] = [];
  let store = '';
  let sink: Sink | undefined;
  const fixture: Fixture = {
    get store() {
      return store;
    },
    get sink() {
      return sink!;
    },
    set sink(other) {
      sink = other;
    },
    async connected(owner) {
      const made = makeSink(store);
      open.push(made);
      await made.connect(owner);
      return made;
    },
    read: (kind, id) => (sink!.get === undefined ? options.read!(store, kind, id) : sink!.get(kind, id)),
  };
  beforeEach(async () => {
    store = await mkdtemp(join(tmpdir(), 'sink-'));
    sink = await fixture.connected();
  });
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
    await rm(store, { recursive: true, force: true });
  });
  return fixture;
}

/**
 * What every sink that keeps versions does, whatever it stores in. `makeSink(store)` returns a new sink on a store: the
 * same name, which is an empty directory, is the same store. It proves that
 * - a reader sees whole versions only: pointers move by `point` alone, from what they are believed to name, and never
 *   to an incomplete version;
 * - nothing of an abandoned attempt is ever seen, and two publishers cannot write at once;
 * - any id comes back as it went in;
 * - `prune` never takes a version that an alias names.
 */
export function sinkSuite(
  runner: TestRunner,
  name: string,
  makeSink: (store: string) => Sink,
  options: SinkSuiteOptions = {},
): void {
  const { describe, it, expect } = runner;
  describe(`${name} sink`, () => {
    const on = fixtures(runner, makeSink, options);
    const { connected, read } = on;
    async function write(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await on.sink.begin(publicationOf(version, minute));
      await on.sink.write('users', lists);
      await on.sink.finish();
    }
    async function publish(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await write(version, lists, minute);
      await on.sink.point(version);
    }

    it('returns the lists of the version it points at, users apart from items', async () => {
      expect(await on.sink.current()).toBeUndefined();
      await on.sink.begin(publicationOf('v1'));
      await on.sink.write('users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]);
      await on.sink.write('items', [ranked('x', ['d', 'e', 'f'])]);
      await on.sink.write('users', [ranked('z', ['g'])]);
      await on.sink.finish();
      await on.sink.point('v1');
      expect(await on.sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['a', 'b']));
      expect(await read('users', 'z')).toEqual(ranked('z', ['g']));
      expect(await read('items', 'x')).toEqual(ranked('x', ['d', 'e', 'f']));
      expect(await read('items', 'y')).toBeUndefined();
      expect(await read('users', 'nobody')).toBeUndefined();
    });

    it('takes scores from typed arrays', async () => {
      await publish('v1', [{ id: 'x', items: ['a', 'b'], scores: Float32Array.of(0.5, 0.25) }]);
      expect(await read('users', 'x')).toEqual({ id: 'x', items: ['a', 'b'], scores: [0.5, 0.25] });
    });

    it('moves the pointer by point alone', async () => {
      await publish('v1', [ranked('x', ['old'])]);
      await write('v2', [ranked('x', ['new'])]);
      expect(await on.sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
      await on.sink.point('v2');
      expect(await read('users', 'x')).toEqual(ranked('x', ['new']));
      await on.sink.point('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
    });

    it('refuses to point at an unknown or unfinished version', async () => {
      await publish('v1', [ranked('x', ['old'])]);
      await on.sink.begin(publicationOf('v2'));
      await on.sink.write('users', [ranked('x', ['new'])]);
      for (const version of ['v2', 'v3', '', 'current', '../v1', 'v1:u'])
        await expect(on.sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await on.sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
    });

    it('refuses versions that cannot name a place, and steps out of order', async () => {
      for (const version of ['', 'current', 'a:b', 'a/b', '..', 'v~'])
        await expect(on.sink.begin(publicationOf(version)), version).rejects.toMatchObject({
          code: 'SINK_FAILED',
        });
      await expect(on.sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await expect(on.sink.finish()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    });

    it('leaves nothing of an abandoned attempt', async () => {
      await on.sink.begin(publicationOf('v1'));
      await on.sink.write('users', [ranked('ghost', ['a'])]);
      await publish('v1', [ranked('x', ['b'])]);
      expect(await read('users', 'ghost')).toBeUndefined();
      expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
    });

    it('leaves nothing of an attempt that another process abandoned', async () => {
      await on.sink.begin(publicationOf('v1'));
      await on.sink.write('users', [ranked('ghost', ['a'])]);
      await on.sink.close();
      on.sink = await connected();
      await expect(on.sink.point('v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await publish('v1', [ranked('x', ['b'])]);
      expect(await read('users', 'ghost')).toBeUndefined();
    });

    it('refuses to begin a complete version again, and serves it', async () => {
      await publish('v1', [ranked('x', ['a'])]);
      await expect(on.sink.begin(publicationOf('v1'))).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    });

    it('goes on with an attempt of the same content, and with no other', async () => {
      const begin = (content: string) => on.sink.begin({ ...publicationOf('v1'), content });
      expect(await begin('c')).toEqual({ users: 0, items: 0 });
      await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
      await on.sink.close();
      on.sink = await connected();
      const have = await begin('c');
      if (have.users === 0) await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['a'])]);
      else expect(have).toEqual({ users: 2, items: 0 });
      await on.sink.write('users', [ranked('z', ['a'])]);
      await on.sink.close();
      on.sink = await connected();
      expect(await begin('d')).toEqual({ users: 0, items: 0 });
      await on.sink.write('users', [ranked('x', ['b'])]);
      await on.sink.finish();
      await on.sink.point('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
      expect(await read('users', 'y')).toBeUndefined();
      expect(await read('users', 'z')).toBeUndefined();
    });

    it('tells its versions, and what they were made of', async () => {
      await on.sink.begin({ ...publicationOf('m.2', 1), model: 'm', content: 'c', change: 7 });
      await on.sink.write('users', [ranked('x', ['a']), ranked('y', ['b'])]);
      await on.sink.write('items', [ranked('a', ['b'])]);
      await on.sink.finish();
      expect(await on.sink.versions()).toMatchObject([
        {
          version: 'm.2',
          model: 'm',
          content: 'c',
          change: 7,
          complete: true,
          lists: { users: 2, items: 1 },
        },
      ]);
    });

    it('keeps aliases apart', async () => {
      await publish('v1', [ranked('x', ['a'])]);
      await write('v2', [ranked('x', ['b'])], 1);
      await on.sink.point('v2', 'candidate');
      expect(await on.sink.current()).toBe('v1');
      expect(await on.sink.current('candidate')).toBe('v2');
      expect(await on.sink.current('other')).toBeUndefined();
      expect([...(await on.sink.pointers())].sort()).toEqual([
        ['candidate', 'v2'],
        ['champion', 'v1'],
      ]);
      if (on.sink.get) {
        expect(await on.sink.get('users', 'x', 'candidate')).toEqual(ranked('x', ['b']));
        expect(await on.sink.get('users', 'x', 'other')).toBeUndefined();
      }
      await on.sink.prune?.(0);
      expect((await on.sink.versions()).map(v => v.version).sort()).toEqual(['v1', 'v2']);
    });

    it('moves a pointer only from what it is expected to name', async () => {
      for (const [minute, version] of ['v1', 'v2', 'v3'].entries()) await write(version, [], minute);
      await expect(on.sink.point('v1', 'champion', 'v3')).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await on.sink.current()).toBeUndefined();
      await on.sink.point('v1', 'champion', null);
      await expect(on.sink.point('v2', 'champion', null)).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await on.sink.point('v2', 'champion', 'v1');
      await expect(on.sink.point('v3', 'champion', 'v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await on.sink.current()).toBe('v2');
    });

    it('keeps a second publisher out until the first has closed', async () => {
      await on.sink.begin(publicationOf('v1'));
      const second = await connected();
      await expect(second.begin(publicationOf('v2'))).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await on.sink.write('users', [ranked('x', ['a'])]);
      await on.sink.finish();
      await on.sink.point('v1');
      await on.sink.close();
      await second.begin(publicationOf('v2', 1));
      await second.finish();
      on.sink = second;
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    });

    it('lets the owner of an attempt that died go on at once', async () => {
      const dead = await connected('one');
      await dead.begin(publicationOf('v1'));
      const next = await connected('one');
      await next.begin(publicationOf('v1'));
      await next.write('users', [ranked('x', ['a'])]);
      await next.finish();
      await next.point('v1');
      on.sink = next;
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    });

    it('amends single lists of a complete version', async () => {
      if (!on.sink.amend) return;
      const { sink } = on;
      await expect(sink.amend!('v1', 'users', { lists: [], gone: [] })).rejects.toMatchObject({
        code: 'SINK_FAILED',
      });
      await publish('v1', [ranked('x', ['a']), ranked('y', ['a']), ranked('gone', ['a'])]);
      const lists = [ranked('y', ['b', 'c']), ranked('new', ['d'])];
      await sink.amend!('v1', 'users', { lists, gone: ['gone', 'nobody'], change: 9 });
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
      expect(await read('users', 'y')).toEqual(ranked('y', ['b', 'c']));
      expect(await read('users', 'new')).toEqual(ranked('new', ['d']));
      expect(await read('users', 'gone')).toBeUndefined();
      expect(await sink.versions()).toMatchObject([{ version: 'v1', change: 9, complete: true }]);
      await publish('v2', [], 1);
      await sink.prune?.(1);
      expect((await sink.versions()).map(v => v.version)).toEqual(['v2']);
    });

    it('keeps the mark of what fills up a list', async () => {
      if (!on.sink.get) return;
      await publish('v1', [{ ...ranked('x', ['a', 'b', 'c']), fallback: 2 }]);
      expect(await read('users', 'x')).toEqual({ ...ranked('x', ['a', 'b', 'c']), fallback: 2 });
    });

    it('gives back any id', async () => {
      const ids = [
        'a b',
        'a:b',
        'a:b:u:c',
        'a/b',
        '../a',
        '"',
        "'",
        '%',
        '\n',
        'ž',
        '日本',
        '🎧',
        '0',
        'current',
      ];
      ids.push('k'.repeat(1024), `${'k'.repeat(1023)}l`, '日'.repeat(341));
      await publish(
        'v1',
        ids.map((id, k) => ranked(id, [id, `item ${k}`])),
      );
      for (const [k, id] of ids.entries())
        expect(await read('users', id)).toEqual(ranked(id, [id, `item ${k}`]));
      expect(await read('users', 'k'.repeat(1023))).toBeUndefined();
    });

    it('takes an empty version and an empty list', async () => {
      await publish('v0', []);
      expect(await on.sink.current()).toBe('v0');
      expect(await read('users', 'x')).toBeUndefined();
      await publish('v1', [ranked('x', []), ranked('y', ['a'])], 1);
      expect(await read('users', 'x')).toEqual(
        options.keepsEmptyLists === false ? undefined : ranked('x', []),
      );
      expect(await read('users', 'y')).toEqual(ranked('y', ['a']));
    });

    it('takes many lists in several batches', async () => {
      const ids = Array.from({ length: 5000 }, (_, k) => `user ${k}`);
      await on.sink.begin(publicationOf('v1'));
      for (let k = 0; k < ids.length; k += 1000)
        await on.sink.write(
          'users',
          ids.slice(k, k + 1000).map(id => ranked(id, [id, 'a', 'b'])),
        );
      await on.sink.finish();
      await on.sink.point('v1');
      for (const id of [ids[0]!, ids[999]!, ids[1000]!, ids[4999]!])
        expect(await read('users', id)).toEqual(ranked(id, [id, 'a', 'b']));
    });

    it('prunes to the newest versions and the current one', async () => {
      for (const [minute, version] of ['v1', 'v10', 'v2', 'v3-b', 'v3'].entries())
        await publish(version, [ranked('x', [version])], minute);
      await on.sink.point('v10');
      await on.sink.prune!(1);
      for (const version of ['v1', 'v2', 'v3-b'])
        await expect(on.sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await read('users', 'x')).toEqual(ranked('x', ['v10']));
      await on.sink.point('v3');
      expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
      await on.sink.prune!(0);
      expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
      await expect(on.sink.point('v10')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    });

    it('finds its pointer again', async () => {
      await publish('v1', [ranked('x', ['a'])]);
      await on.sink.close();
      await expect(on.sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
      on.sink = await connected();
      expect(await on.sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    });
  });
}

/** What every sink that overwrites its lists in place does. */
export function inPlaceSuite(runner: TestRunner, name: string, makeSink: (store: string) => Sink): void {
  const { describe, it, expect } = runner;
  describe(`${name} sink, in place`, () => {
    const on = fixtures(runner, makeSink, {});
    async function publish(version: string, lists: readonly RankedList[]): Promise<number> {
      await on.sink.begin(publicationOf(version));
      const stored = await on.sink.write('users', lists);
      await on.sink.finish();
      await on.sink.point(version);
      return stored;
    }

    it('stores only lists that changed', async () => {
      expect(await publish('v1', [ranked('x', ['a', 'b']), ranked('y', ['c'])])).toBe(2);
      expect(await on.sink.current()).toBe('live');
      expect(
        await publish('v2', [ranked('x', ['a', 'b']), ranked('y', ['c', 'd']), ranked('z', ['e'])]),
      ).toBe(2);
      expect(
        await publish('v3', [ranked('x', ['a', 'b']), ranked('y', ['c', 'd']), ranked('z', ['e'])]),
      ).toBe(0);
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['a', 'b']));
      expect(await on.read('users', 'y')).toEqual(ranked('y', ['c', 'd']));
      expect(await on.sink.versions()).toMatchObject([
        { version: 'live', complete: true, lists: { users: 3, items: 0 } },
      ]);
    });

    it('takes another score for a change', async () => {
      await publish('v1', [{ id: 'x', items: ['a'], scores: [0.5] }]);
      expect(await publish('v2', [{ id: 'x', items: ['a'], scores: [0.5001] }])).toBe(1);
    });

    it('deletes the lists that no longer come', async () => {
      await publish('v1', [ranked('x', ['a']), ranked('gone', ['a'])]);
      await publish('v2', [ranked('x', ['a'])]);
      expect(await on.read('users', 'gone')).toBeUndefined();
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['a']));
      await publish('v3', [ranked('x', ['a']), ranked('gone', ['a'])]);
      expect(await on.read('users', 'gone')).toEqual(ranked('gone', ['a']));
    });

    it('loses nothing when a publication is cut off', async () => {
      await publish('v1', [ranked('x', ['a']), ranked('y', ['a'])]);
      await on.sink.begin(publicationOf('v2'));
      await on.sink.write('users', [ranked('x', ['b'])]);
      await on.sink.close();
      on.sink = await on.connected();
      expect(await on.sink.current()).toBe('live');
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['b']));
      expect(await on.read('users', 'y')).toEqual(ranked('y', ['a']));
      expect(await publish('v2', [ranked('x', ['b']), ranked('y', ['b'])])).toBe(1);
    });

    it('amends single lists', async () => {
      await publish('v1', [ranked('x', ['a']), ranked('gone', ['a'])]);
      await on.sink.amend!('live', 'users', { lists: [ranked('x', ['b'])], gone: ['gone'], change: 3 });
      expect(await on.read('users', 'x')).toEqual(ranked('x', ['b']));
      expect(await on.read('users', 'gone')).toBeUndefined();
      expect(await publish('v2', [ranked('x', ['b'])])).toBe(0);
    });
  });
}

/** A list of `items` with scores 1, 1/2, 1/4, … */
export function ranked(id: string, items: readonly string[]): RankedList {
  return { id, items, scores: items.map((_, k) => 2 ** -k) };
}

/** A publication of `version`, made `minute` minutes into a fixed hour. */
export function publicationOf(version: string, minute = 0): Publication {
  return {
    format: 'sansa-stream/model@1',
    version,
    createdAt: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
    solver: 'icf',
    options: {},
    items: { count: 3, checksum: 'c' },
    events: 4,
    users: 2,
    interactions: 4,
    parameters: 9,
    weightsChecksum: 'w',
    weightsBytes: 64,
    gramian: 'implicit',
    fit: {},
  };
}
