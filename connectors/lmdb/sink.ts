import type { ListKind, RankedList, Sink } from '../../src/connector.js';
import { StageError } from '../../src/errors.js';
import type { Manifest } from '../../src/model/version.js';
import { checkVersion } from '../../src/publish/layout.js';
import { superseded } from '../../src/publish/retention.js';
import { type LmdbOptions, lmdbOptions } from './options.js';
import { LmdbStore, type StoredList } from './store.js';

export { type LmdbOptions, lmdbOptions };

interface Attempt {
  readonly manifest: Manifest;
  /** Version under whose keys the lists are written until the attempt is finished. */
  readonly target: string;
  readonly lists: Record<ListKind, number>;
}

/**
 * Lists in an embedded LMDB environment, which other processes read while a version is published.
 *
 * `<prefix>:<version>:u:<user>` and `…:i:<item>` hold `{ items, scores }`, `<prefix>:<version>` the manifest
 * once the version is complete, `<prefix>:current` the version to read. A version that is complete already
 * is written beside itself (`<version>~`) and replaced in one transaction, so its readers never miss a list.
 * Msgpack values are plain maps: a reader that uses msgpackr or lmdb sets `useRecords: false` to get objects.
 * `begin` deletes every incomplete version of the prefix. Every failure is a `SINK_FAILED`.
 */
export function createLmdbSink(options: LmdbOptions): Sink {
  const where = `LMDB ${options.path}, prefix ${options.prefix}`;
  let opened: LmdbStore | undefined;
  let attempt: Attempt | undefined;

  /** Runs one step; what it throws becomes a `SINK_FAILED` that says what was expected. */
  async function step<T>(expected: string, run: (store: LmdbStore) => T | Promise<T>): Promise<T> {
    try {
      if (opened === undefined) throw new Error('a sink that is not connected');
      return await run(opened);
    } catch (error) {
      if (error instanceof StageError) throw error;
      const found = error instanceof Error ? error.message : String(error);
      throw new StageError('SINK_FAILED', `expected ${expected}, found ${found}, where ${where}`, {
        cause: error,
      });
    }
  }

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  return {
    name: 'lmdb',
    keep: options.keep,

    async connect() {
      try {
        opened ??= new LmdbStore(options);
        opened.current();
      } catch (error) {
        await opened?.close();
        opened = undefined;
        const found = error instanceof Error ? error.message : String(error);
        const message = `expected an LMDB environment with ${options.encoding} values, found ${found}, where ${where}`;
        throw new StageError('SINK_FAILED', message, { cause: error });
      }
    },

    begin: manifest =>
      step(`to begin version ${manifest.version}`, async store => {
        checkVersion(manifest.version, where);
        attempt = undefined;
        for (const version of store.versions())
          if (store.mark(version) === undefined) await store.discard(version);
        const target = store.mark(manifest.version) ? `${manifest.version}~` : manifest.version;
        attempt = { manifest, target, lists: { users: 0, items: 0 } };
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, async store => {
        const { target, lists: counts } = begun();
        await store.put(target, kind, lists.map(toStored));
        counts[kind] += lists.length;
      }),

    finish: () =>
      step('to finish the version', async store => {
        const { manifest, target, lists } = begun();
        const staged = target === manifest.version ? undefined : target;
        await store.complete(manifest.version, { ...manifest, lists }, staged);
        attempt = undefined;
      }),

    point: version =>
      step(`to point at version ${version}`, async store => {
        checkVersion(version, where);
        if (!(await store.point(version))) throw new Error('no such version or an unfinished one');
      }),

    current: () => step('to read the pointer', store => store.current()),

    get: (kind, id) =>
      step(`to read the list of ${id}`, store => {
        const version = store.current();
        const list = version === undefined ? undefined : store.list(version, kind, id);
        return list && { id, ...list };
      }),

    prune: keep =>
      step('to delete superseded versions', async store => {
        const finished = store.versions().flatMap(version => store.mark(version) ?? []);
        for (const version of superseded(finished, store.current(), keep)) await store.discard(version);
      }),

    async close() {
      attempt = undefined;
      const store = opened;
      opened = undefined;
      await store?.close();
    },
  };
}

function toStored(list: RankedList): readonly [string, StoredList] {
  return [list.id, { items: list.items, scores: Array.from(list.scores) }];
}
