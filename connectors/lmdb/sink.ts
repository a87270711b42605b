import {
  type Amendment,
  type EncodedLists,
  type ListFormat,
  type ListKind,
  live,
  type Publication,
  type Sink,
  type SinkVersion,
} from '../../src/contracts/sink.js';
import { encodeRanked, hashRange, storedValue } from '../../src/publish/encode.js';
import type { Draft, ListStore } from '../../src/publish/list-store.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { notComplete, sinkVersion } from '../../src/publish/sink-steps.js';
import { createVersionedSink, encodedForm } from '../../src/publish/versioned-sink.js';
import { type LmdbOptions, lmdbOptions } from './options.js';
import { LmdbStore } from './store.js';

export { type LmdbOptions, lmdbOptions };

/** Bytes that LMDB takes for a list beside key and value, half-full pages included (measured). */
const overheadBytes = 250;

/**
 * Lists in an embedded LMDB environment, which other processes read while a version is published.
 *
 * `<prefix>:<version>:u:<user>` and `…:i:<item>` hold the lists, `<prefix>:<version>` the manifest once the version is
 * complete, `<prefix>:current` the version to read. Msgpack values are plain maps: a reader that uses msgpackr or lmdb
 * sets `useRecords: false` to get objects.
 */
export function createLmdbSink(options: LmdbOptions): Sink {
  const inPlace = options.mode === 'inplace';
  const format: ListFormat = { encoding: options.encoding, stamped: inPlace };
  const where = `LMDB ${options.path}, prefix ${options.prefix}`;
  const form = encodedForm(format);
  return createVersionedSink(
    { name: 'lmdb', where, options, form, inPlace, overheadBytes },
    new LmdbLists(options, format),
  );
}

/** The lists of one prefix: what `LmdbStore` holds, as a store of versions. */
class LmdbLists implements ListStore<EncodedLists> {
  readonly #options: LmdbOptions;
  readonly #format: ListFormat;
  #opened: LmdbStore | undefined;

  constructor(options: LmdbOptions, format: ListFormat) {
    this.#options = options;
    this.#format = format;
  }

  get #store(): LmdbStore {
    return this.#opened!;
  }

  async open(): Promise<void> {
    const store = new LmdbStore(this.#options);
    try {
      store.current();
    } catch (error) {
      await store.close();
      throw error;
    }
    this.#opened = store;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  takeLease = (owner: string) => this.#store.takeLease(owner, this.#options.leaseMs);
  renewLease = (owner: string) => this.#store.renewLease(owner, this.#options.leaseMs);
  releaseLease = (owner: string) => this.#store.releaseLease(owner);

  async begin(target: string, publication: Publication, owner: string): Promise<Draft<EncodedLists>> {
    const store = this.#store;
    const lists = await this.#claimed(target, publication);
    const complete: Draft<EncodedLists>['complete'] = async manifest => {
      await store.flushed();
      await store.complete(target, manifest, owner);
    };
    const abandon = () => store.flushed();
    if (target === live) return { lists, abandon, ...this.#overwriting(complete) };
    return {
      lists,
      complete,
      abandon,
      async put(kind, encoded, counts) {
        await store.put(target, kind, encoded, encoded.ids.keys(), { ...publication, lists: counts });
        return encoded.ids.length;
      },
    };
  }

  /** What there is of an attempt at `publication`; deletes every other one that was not completed. */
  async #claimed(target: string, { content }: Publication) {
    const store = this.#store;
    let lists = { users: 0, items: 0 };
    for (const version of store.versions()) {
      if (version === live || store.mark(version)) continue;
      const found = store.progress(version);
      if (version === target && content !== undefined && found?.content === content)
        lists = { ...found.lists };
      else await store.discard(version);
    }
    return lists;
  }

  /** Puts the lists whose hash differs from what is there, and at the end deletes those that did not come. */
  #overwriting(complete: Draft<EncodedLists>['complete']): Pick<Draft<EncodedLists>, 'put' | 'complete'> {
    const store = this.#store;
    const seen = new SeenIds();
    const [from, to] = hashRange(this.#format);
    return {
      async put(kind, encoded) {
        const { ids } = encoded;
        const changed = [...ids.keys()].filter(r => {
          const found = store.bytesOf(live, kind, ids[r]!);
          return found?.toString('latin1', from, to) !== storedValue(encoded, r).toString('latin1', from, to);
        });
        for (const id of ids) seen.add(store.suffix(live, kind, id));
        await store.put(live, kind, encoded, changed);
        return changed.length;
      },
      async complete(manifest) {
        await store.sweep(live, key => seen.has(key));
        await complete(manifest);
      },
    };
  }

  versions(): SinkVersion[] {
    return this.#store.versions().flatMap(version => {
      const complete = this.#store.mark(version);
      const found = complete ?? this.#store.progress(version);
      return found ? [sinkVersion(found, complete !== undefined, version)] : [];
    });
  }

  pointers = () => this.#store.pointers();
  current = (alias: string) => this.#store.current(alias);
  point = (alias: string, version: string, expected: string | null | undefined) =>
    this.#store.point(alias, version, expected);
  read = async (version: string, kind: ListKind, id: string) => this.#store.bytesOf(version, kind, id);

  async amend(version: string, kind: ListKind, { lists, gone, change }: Amendment): Promise<void> {
    const store = this.#store;
    const mark = store.mark(version);
    if (!mark) throw notComplete(version);
    const added = lists.filter(list => store.bytesOf(version, kind, list.id) === undefined).length;
    const removed = gone.filter(id => store.bytesOf(version, kind, id) !== undefined).length;
    await store.put(version, kind, encodeRanked(lists, this.#format, mark.version), lists.keys());
    await store.remove(version, kind, gone);
    const counts = { ...mark.lists, [kind]: mark.lists[kind] + added - removed };
    await store.setMark(version, { ...mark, lists: counts, ...(change === undefined ? {} : { change }) });
  }

  async remove(versions: readonly string[]): Promise<void> {
    for (const version of versions)
      if (![...this.pointers().values()].includes(version)) await this.#store.discard(version);
  }
}
