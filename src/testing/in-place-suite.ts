import type { RankedList, Sink } from '../contracts/sink.js';
import { type Fixture, fixtures, publicationOf, ranked, type TestRunner } from './sink-fixture.js';

/** The behaviour of every sink that overwrites its lists in place. */
export function inPlaceSuite(runner: TestRunner, name: string, makeSink: (store: string) => Sink): void {
  const { describe, it, expect } = runner;
  describe(`${name} sink, in place`, () => {
    const on = fixtures(runner, makeSink, {});
    const publish = publisherOf(on);

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

/** Returns a function that publishes lists of users and tells how many were stored. */
function publisherOf(on: Fixture) {
  return async (version: string, lists: readonly RankedList[]): Promise<number> => {
    await on.sink.begin(publicationOf(version));
    const stored = await on.sink.write('users', lists);
    await on.sink.finish();
    await on.sink.point(version);
    return stored;
  };
}
