import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ListKind, RankedList, Sink } from '#src/connector.js';
import { manifestOf } from './manifest.js';

/** What a driver's test gives beside the constructor. */
export interface SinkSuiteOptions {
  /** Reads a list of the current version as another program would; for sinks without `get`. */
  readonly read?: (store: string, kind: ListKind, id: string) => Promise<RankedList | undefined>;
  /** False when the format has no way to say that a list is empty. Default true. */
  readonly keepsEmptyLists?: boolean;
}

/**
 * What every sink does, whatever it stores in. `makeSink(store)` returns a new sink on a store: the same name
 * is the same store. It proves that
 * - a reader sees whole versions only: the pointer moves by `point` alone, and never to an incomplete version;
 * - nothing of an abandoned attempt is ever seen, and publishing a version again replaces it, readable throughout;
 * - any id comes back as it went in;
 * - `prune` never takes the current version.
 */
export function sinkSuite(
  name: string,
  makeSink: (store: string) => Sink,
  options: SinkSuiteOptions = {},
): void {
  describe(`${name} sink`, () => {
    let store: string;
    let sink: Sink;
    const open: Sink[] = [];

    async function connected(): Promise<Sink> {
      const made = makeSink(store);
      open.push(made);
      await made.connect();
      return made;
    }
    const read = (kind: ListKind, id: string) =>
      sink.get === undefined ? options.read!(store, kind, id) : sink.get(kind, id);
    async function write(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await sink.begin(manifestOf(version, minute));
      await sink.write('users', lists);
      await sink.finish();
    }
    async function publish(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await write(version, lists, minute);
      await sink.point(version);
    }

    beforeEach(async () => {
      store = await mkdtemp(join(tmpdir(), 'sink-'));
      sink = await connected();
    });
    afterEach(async () => {
      for (const one of open.splice(0)) await one.close();
      await rm(store, { recursive: true, force: true });
    });

    it('returns the lists of the version it points at, users apart from items', async () => {
      expect(await sink.current()).toBeUndefined();
      await sink.begin(manifestOf('v1'));
      await sink.write('users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]);
      await sink.write('items', [ranked('x', ['d', 'e', 'f'])]);
      await sink.write('users', [ranked('z', ['g'])]);
      await sink.finish();
      await sink.point('v1');
      expect(await sink.current()).toBe('v1');
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
      expect(await sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
      await sink.point('v2');
      expect(await read('users', 'x')).toEqual(ranked('x', ['new']));
      await sink.point('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
    });

    it('refuses to point at an unknown or unfinished version', async () => {
      await publish('v1', [ranked('x', ['old'])]);
      await sink.begin(manifestOf('v2'));
      await sink.write('users', [ranked('x', ['new'])]);
      for (const version of ['v2', 'v3', '', 'current', '../v1', 'v1:u'])
        await expect(sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['old']));
    });

    it('refuses versions that cannot name a place, and steps out of order', async () => {
      for (const version of ['', 'current', 'a:b', 'a/b', '..', 'v~'])
        await expect(sink.begin(manifestOf(version)), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await expect(sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await expect(sink.finish()).rejects.toMatchObject({ code: 'SINK_FAILED' });
    });

    it('leaves nothing of an abandoned attempt', async () => {
      await sink.begin(manifestOf('v1'));
      await sink.write('users', [ranked('ghost', ['a'])]);
      await publish('v1', [ranked('x', ['b'])]);
      expect(await read('users', 'ghost')).toBeUndefined();
      expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
    });

    it('leaves nothing of an attempt that another process abandoned', async () => {
      await sink.begin(manifestOf('v1'));
      await sink.write('users', [ranked('ghost', ['a'])]);
      await sink.close();
      sink = await connected();
      await expect(sink.point('v1')).rejects.toMatchObject({ code: 'SINK_FAILED' });
      await publish('v1', [ranked('x', ['b'])]);
      expect(await read('users', 'ghost')).toBeUndefined();
    });

    it('replaces a version that is published again, and serves it until then', async () => {
      await publish('v1', [ranked('x', ['a']), ranked('gone', ['a'])]);
      await publish('v1', [ranked('x', ['a']), ranked('gone', ['a'])]);
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
      await sink.begin(manifestOf('v1'));
      await sink.write('users', [ranked('x', ['b'])]);
      expect(await sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
      expect(await read('users', 'gone')).toEqual(ranked('gone', ['a']));
      await sink.finish();
      expect(await read('users', 'x')).toEqual(ranked('x', ['b']));
      expect(await read('users', 'gone')).toBeUndefined();
    });

    it('keeps a finished version whose second attempt is abandoned', async () => {
      await publish('v1', [ranked('x', ['a'])]);
      await sink.begin(manifestOf('v1'));
      await sink.write('users', [ranked('x', ['b']), ranked('ghost', ['b'])]);
      await publish('v2', [ranked('x', ['c'])], 1);
      await sink.point('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
      expect(await read('users', 'ghost')).toBeUndefined();
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
      expect(await sink.current()).toBe('v0');
      expect(await read('users', 'x')).toBeUndefined();
      await publish('v1', [ranked('x', []), ranked('y', ['a'])]);
      expect(await read('users', 'x')).toEqual(
        options.keepsEmptyLists === false ? undefined : ranked('x', []),
      );
      expect(await read('users', 'y')).toEqual(ranked('y', ['a']));
    });

    it('takes many lists in several batches', async () => {
      const ids = Array.from({ length: 5000 }, (_, k) => `user ${k}`);
      await sink.begin(manifestOf('v1'));
      for (let k = 0; k < ids.length; k += 1000)
        await sink.write(
          'users',
          ids.slice(k, k + 1000).map(id => ranked(id, [id, 'a', 'b'])),
        );
      await sink.finish();
      await sink.point('v1');
      for (const id of [ids[0]!, ids[999]!, ids[1000]!, ids[4999]!])
        expect(await read('users', id)).toEqual(ranked(id, [id, 'a', 'b']));
    });

    it('prunes to the newest versions and the current one', async () => {
      for (const [minute, version] of ['v1', 'v10', 'v2', 'v3-b', 'v3'].entries())
        await publish(version, [ranked('x', [version])], minute);
      await sink.point('v10');
      await sink.prune!(1);
      for (const version of ['v1', 'v2', 'v3-b'])
        await expect(sink.point(version), version).rejects.toMatchObject({ code: 'SINK_FAILED' });
      expect(await read('users', 'x')).toEqual(ranked('x', ['v10']));
      await sink.point('v3');
      expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
      await sink.prune!(0);
      expect(await read('users', 'x')).toEqual(ranked('x', ['v3']));
      await expect(sink.point('v10')).rejects.toMatchObject({ code: 'SINK_FAILED' });
    });

    it('finds its pointer again', async () => {
      await publish('v1', [ranked('x', ['a'])]);
      await sink.close();
      await expect(sink.write('users', [])).rejects.toMatchObject({ code: 'SINK_FAILED' });
      sink = await connected();
      expect(await sink.current()).toBe('v1');
      expect(await read('users', 'x')).toEqual(ranked('x', ['a']));
    });
  });
}

/** A list of `items` with scores 1, 1/2, 1/4, … */
export function ranked(id: string, items: readonly string[]): RankedList {
  return { id, items, scores: items.map((_, k) => 2 ** -k) };
}
