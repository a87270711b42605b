import { existsSync } from 'node:fs';
import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
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
import { decodeList } from '../../src/publish/decode.js';
import { encodeRanked, hashRange, storedValue } from '../../src/publish/encode.js';
import type { Access, Draft, ListStore, Move } from '../../src/publish/list-store.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { notComplete, sinkVersion } from '../../src/publish/sink-steps.js';
import { createKeyedSink } from '../../src/publish/versioned-sink.js';
import { withoutItems } from '../../src/publish/without-items.js';
import { type LmdbOptions, lmdbOptions } from './options.js';
import { assertSound, fileOf } from './sound.js';
import { LmdbStore } from './store.js';

export { type LmdbOptions, lmdbOptions };

/** Bytes that LMDB takes for a list beside key and value, half-full pages included (measured). */
const overheadBytes = 250;

/**
 * Lists in an embedded LMDB environment, which other processes read while a version is published.
 *
 * `<prefix>:<version>:u:<user>` and `…:i:<item>` hold the lists, `<prefix>:<version>` the manifest once the version is
 * complete, `<prefix>:current` the version to read. Msgpack values are plain maps: a reader that uses msgpackr or lmdb
 * sets `useRecords: false` to get objects. The file is in the format of Node's `lmdb` package (LMDB's data version 2),
 * which LMDB 0.9, the release that other languages bind, does not read. `memoryBytes` are for pages of it, and for lists that wait.
 */
export function createLmdbSink(options: LmdbOptions, memoryBytes = 2 ** 26): Sink {
  const where = `LMDB ${options.path}, prefix ${options.prefix}`;
  return createKeyedSink(
    { name: 'lmdb', where, options, overheadBytes },
    format => new LmdbLists(options, format, memoryBytes),
  );
}

/** The lists of one prefix: what `LmdbStore` holds, as a store of versions. */
class LmdbLists implements ListStore<EncodedLists> {
  readonly #options: LmdbOptions;
  readonly #format: ListFormat;
  readonly #memoryBytes: number;
  #opened: LmdbStore | undefined;

  constructor(options: LmdbOptions, format: ListFormat, memoryBytes: number) {
    this.#memoryBytes = memoryBytes;
    this.#options = options;
    this.#format = format;
  }

  get #store(): LmdbStore {
    return this.#opened!;
  }

  async open(access: Access, owner?: string): Promise<boolean> {
    const { path } = this.#options;
    if (access === 'read' && !existsSync(fileOf(path))) return false;
    await assertSound(path, access);
    const store = new LmdbStore(this.#options, this.#memoryBytes, access);
    try {
      store.current();
      if (access === 'write') await store.lease.tidy(owner);
    } catch (error) {
      await store.close();
      throw error;
    }
    this.#opened = store;
    return true;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  takeLease = (holder: string) => this.#store.lease.take(holder);
  renewLease = (holder: string) => this.#store.lease.renew(holder);
  releaseLease = (holder: string) => this.#store.lease.release(holder);

  async begin(target: string, publication: Publication, holder: string): Promise<Draft<EncodedLists>> {
    const store = this.#store;
    const lists = await this.#claimed(target, publication, holder);
    const seen = target === live ? new SeenIds() : undefined;
    return {
      lists,
      put: async (kind, encoded, counts) => {
        if (seen) return this.#overwrite(kind, encoded, seen, holder);
        const progress = { ...publication, lists: counts };
        await store.writer.put(holder, target, kind, encoded, encoded.ids.keys(), progress);
        return encoded.ids.length;
      },
      async complete(manifest) {
        await store.writer.flushed(holder);
        if (seen) await store.sweep(live, holder, key => seen.has(key));
        await store.complete(target, manifest, holder);
      },
      abandon: () => store.writer.leave(holder),
    };
  }

  /** What there is of an attempt at `publication`; deletes every other one that was not completed. */
  async #claimed(target: string, { content }: Publication, holder: string) {
    const store = this.#store;
    let lists = { users: 0, items: 0 };
    for (const version of store.versions()) {
      if (version === live || store.mark(version)) continue;
      const found = store.progress(version);
      if (version === target && content !== undefined && found?.content === content)
        lists = { ...found.lists };
      else await store.discard(version, holder);
    }
    return lists;
  }

  /** Puts the lists whose hash differs from what is there. */
  async #overwrite(kind: ListKind, encoded: EncodedLists, seen: SeenIds, holder: string): Promise<number> {
    const store = this.#store;
    const [from, to] = hashRange(this.#format);
    const { ids } = encoded;
    const differs = (r: number): boolean => {
      const found = store.bytesOf(live, kind, ids[r]!);
      return found?.toString('latin1', from, to) !== storedValue(encoded, r).toString('latin1', from, to);
    };
    const changed = [...ids.keys()].filter(differs);
    for (const id of ids) seen.add(store.suffix(live, kind, id));
    await store.writer.put(holder, live, kind, encoded, changed);
    return changed.length;
  }

  async versions(): Promise<SinkVersion[]> {
    const store = this.#store;
    const told = (version: string): SinkVersion[] => {
      const complete = store.mark(version);
      const found = complete ?? store.progress(version);
      return found ? [sinkVersion(found, complete !== undefined, version)] : [];
    };
    return store.versions().flatMap(told);
  }

  pointers = async () => this.#store.pointers();
  current = async (alias: string) => this.#store.current(alias);
  point = (move: Move) => this.#store.point(move);
  read = async (version: string, kind: ListKind, id: string) => this.#store.bytesOf(version, kind, id);

  async amend(version: string, kind: ListKind, { lists, gone, change }: Amendment): Promise<void> {
    const store = this.#store;
    const mark = store.mark(version);
    if (!mark) throw notComplete(version);
    const encoded = encodeRanked(lists, this.#format, mark.version);
    await store.amend(version, { kind, lists: encoded, gone, change });
  }

  async forget(erased: ErasedIds, holder: string): Promise<ForgottenLists> {
    const store = this.#store;
    const items = new Set(erased.items);
    const total = { deleted: 0, rewritten: 0 };
    for (const version of store.versions()) {
      const mark = store.mark(version);
      if (!mark) {
        if (version !== live) await store.discard(version, holder);
        continue;
      }
      for (const kind of ['users', 'items'] as const) {
        await this.amend(version, kind, { lists: [], gone: erased[kind] });
        total.deleted += mark.lists[kind] - store.mark(version)!.lists[kind];
        if (items.size === 0) continue;
        for await (const found of store.lists(version, kind)) {
          const lists = found.flatMap(([key, value]) => {
            const list = withoutItems(decodeList(value, this.#format.encoding), items);
            if (!list) return [];
            const encoded = encodeRanked([{ id: '', ...list }], this.#format, mark.version);
            return [[key, Buffer.from(encoded.bytes)] as const];
          });
          if (lists.length > 0) await store.overwrite(version, lists);
          total.rewritten += lists.length;
        }
      }
    }
    return { ...total, remains: await store.leaveFreePages() };
  }

  async remove(versions: readonly string[]): Promise<void> {
    for (const version of versions) await this.#store.retire(version);
  }
}
