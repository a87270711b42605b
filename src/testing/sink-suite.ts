import type { RankedList, Sink } from '../contracts/sink.js';
import { guardsPointers, readsLists } from './reading-tests.js';
import { fixtures, publicationOf, type SinkSuiteOptions, type TestRunner } from './sink-fixture.js';
import { forgetsIds, keepsLists, keepsVersions, recoversAttempts } from './writing-tests.js';

/**
 * The behaviour of every sink that keeps versions. `makeSink(store)` returns a new sink on a store: `store` is an empty
 * directory at first, and the same directory means the same store. The suite proves that
 * - a reader sees whole versions only: pointers move by `point` alone, from what they are believed to name, and never
 *   to an incomplete version;
 * - nothing of an abandoned attempt is ever seen, and two publishers cannot write at once;
 * - any id comes back as it went in;
 * - erased ids are gone from every version, and no rollback brings them back;
 * - `prune` never takes a version that an alias names.
 */
export function sinkSuite(
  runner: TestRunner,
  name: string,
  makeSink: (store: string) => Sink,
  options: SinkSuiteOptions = {},
): void {
  runner.describe(`${name} sink`, () => {
    const on = fixtures(runner, makeSink, options);
    async function write(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await on.sink.begin(publicationOf(version, minute));
      await on.sink.write('users', lists);
      await on.sink.finish();
    }
    async function publish(version: string, lists: readonly RankedList[], minute = 0): Promise<void> {
      await write(version, lists, minute);
      await on.sink.point(version);
    }
    const suite = { runner, on, options, write, publish };
    readsLists(suite);
    recoversAttempts(suite);
    keepsVersions(suite);
    guardsPointers(suite);
    keepsLists(suite);
    forgetsIds(suite);
  });
}
