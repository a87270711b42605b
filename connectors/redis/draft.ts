import type {
  EncodedLists,
  ItemVectors,
  ListFormat,
  ListKind,
  Publication,
} from '../../src/contracts/sink.js';
import { live } from '../../src/contracts/sink.js';
import { hashRange, storedValue } from '../../src/publish/encode.js';
import type { KeyLayout } from '../../src/publish/layout.js';
import type { Draft, ListCounts } from '../../src/publish/list-store.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { leaseLost, Refusal } from '../../src/publish/sink-steps.js';
import type { Guard, RedisConnection } from './connection.js';
import type { Entry, RedisStore } from './store.js';

/** Where a version is written. */
export interface Place {
  readonly redis: RedisConnection;
  readonly store: RedisStore;
  readonly layout: KeyLayout;
  readonly format: ListFormat;
}

/**
 * Clears away what died, and begins `publication` as `version`, or goes on with an attempt at it. An attempt is only
 * gone on with on the very processes it was begun on: others may lack what was written.
 */
export async function beginDraft(
  place: Place,
  version: string,
  publication: Publication,
  holder: string,
): Promise<Draft<EncodedLists>> {
  const { store } = place;
  const guard = store.heldBy(holder);
  const inPlace = version === live;
  const servers = await store.servers();
  const evicted = await store.evicted();
  const entry = await claimed(store, { ...publication, version }, servers, holder);
  const writer = inPlace ? inPlaceWriter(place, entry, guard) : versionWriter(place, entry, guard);
  return {
    lists: inPlace ? { users: 0, items: 0 } : entry.lists,
    async put(kind, lists, counts) {
      try {
        return await writer.put(kind, lists, counts);
      } catch (error) {
        // What there is of the version only takes room that others lack.
        if (/^OOM/.test((error as Error).message) && !inPlace) await store.discard(writer.entry, holder);
        throw error;
      }
    },
    putVectors: async vectors => writer.putVectors?.(vectors),
    async complete(manifest) {
      await writer.finish();
      if (!(await store.renewLease(holder))) throw leaseLost();
      if ((await store.servers()) !== servers)
        throw new Refusal('a server was restarted or replaced meanwhile and may lack what was written');
      const gone = (await store.evicted()) - evicted;
      if (gone > 0)
        throw new Refusal(`Redis evicted ${gone} keys meanwhile: give it more memory, or noeviction`);
      await store.mark(version, JSON.stringify(manifest), guard);
      const { lists, vectors } = manifest;
      const entry = { ...writer.entry, ...summary(publication), lists, ...(vectors && { vectors }) };
      await store.register({ ...entry, complete: true }, guard);
    },
    abandon: async () => undefined,
  };
}

const summary = ({ publishedAt, ordinal, createdAt, model, content, change }: Publication) => ({
  publishedAt: publishedAt ?? createdAt,
  ordinal,
  model,
  content,
  change,
});

/** The entry to go on with; deletes every other attempt that was not completed. */
async function claimed(
  store: RedisStore,
  publication: Publication,
  servers: string,
  holder: string,
): Promise<Entry> {
  const { version, content } = publication;
  let found: Entry | undefined;
  for (const entry of await store.entries()) {
    const resumable = content !== undefined && entry.content === content && entry.servers === servers;
    if (entry.version === version && !entry.leaving && (resumable || version === live)) found = entry;
    else if (!entry.complete) await store.discard(entry, holder);
  }
  if (found) return found;
  const lists = { users: 0, items: 0 };
  const entry = { version, ...summary(publication), complete: false, lists, chunks: 0, servers };
  await store.register(entry, store.heldBy(holder));
  return entry;
}

interface Writer {
  /** The registered entry. */
  readonly entry: Entry;
  put(kind: ListKind, lists: EncodedLists, counts: ListCounts): Promise<number>;
  putVectors?(vectors: ItemVectors): Promise<void>;
  finish(): Promise<void>;
}

/** The part of a vector's key behind its version. */
export const vectorKey = (item: string): string => `v:${item}`;

/** The part of a list's key behind its version. */
export const shortKey = (kind: ListKind, id: string): string => `${kind === 'users' ? 'u' : 'i'}:${id}`;

/** Writes every list; index, lists and progress in this order, so that whatever was written can be found. */
function versionWriter({ redis, store, layout }: Place, begun: Entry, guard: Guard): Writer {
  const { version } = begun;
  let entry = begun;
  return {
    get entry() {
      return entry;
    },
    async put(kind, lists, counts) {
      const { ids } = lists;
      await store.index(
        version,
        entry.chunks,
        ids.map(id => shortKey(kind, id)),
        guard,
      );
      await redis.setAll(
        ids.map(id => layout.list(version, kind, id)),
        r => storedValue(lists, r),
        guard,
      );
      entry = { ...entry, chunks: entry.chunks + 1, lists: counts };
      await store.register(entry, guard);
      return ids.length;
    },
    async putVectors(vectors) {
      const { ids } = vectors;
      await store.index(version, entry.chunks, ids.map(vectorKey), guard);
      const keys = ids.map(id => layout.vector(version, id));
      await redis.each(keys, (key, r) => ['HSET', key, ...vectorFields(vectors, r)], guard);
      entry = { ...entry, chunks: entry.chunks + 1 };
      await store.register(entry, guard);
    },
    finish: async () => undefined,
  };
}

/**
 * The fields of a vector: `vector`, or `indices` (int32) and `values` of a sparse one, little-endian; `dimension`, the one that the
 * item is, where it is one.
 */
function vectorFields({ indptr, values, indices, dimensions }: ItemVectors, r: number): (string | Buffer)[] {
  const blob = (x: Float32Array | Int32Array) =>
    Buffer.from(x.buffer, x.byteOffset + 4 * indptr[r]!, 4 * (indptr[r + 1]! - indptr[r]!));
  const dimension = dimensions?.[r] ?? -1;
  return [
    ...(indices ? ['indices', blob(indices), 'values', blob(values)] : ['vector', blob(values)]),
    ...(dimension >= 0 ? ['dimension', String(dimension)] : []),
  ];
}

/** Writes the lists whose hash differs from what is there, and at the end deletes those that did not come. */
function inPlaceWriter({ redis, store, layout, format }: Place, begun: Entry, guard: Guard): Writer {
  const seen = new SeenIds();
  const [from, to] = hashRange(format);
  let entry = begun;
  return {
    get entry() {
      return entry;
    },
    async put(kind, encoded) {
      const { ids } = encoded;
      const value = (r: number) => storedValue(encoded, r);
      const keys = ids.map(id => layout.list(live, kind, id));
      const found = await redis.each(keys, key => ['GETRANGE', key, String(from), String(to - 1)]);
      for (const id of ids) seen.add(shortKey(kind, id));
      const rows = ids.map((_, r) => r);
      const added = rows.filter(r => found[r] === '');
      const changed = rows.filter(r => found[r] !== value(r).toString('latin1', from, to));
      if (added.length > 0) {
        const index = added.map(r => shortKey(kind, ids[r]!));
        await store.index(live, entry.chunks, index, guard);
        entry = { ...entry, chunks: entry.chunks + 1 };
        await store.register(entry, guard);
      }
      await redis.setAll(
        changed.map(r => keys[r]!),
        k => value(changed[k]!),
        guard,
      );
      return changed.length;
    },
    async finish() {
      const mark = `${layout.mark(live)}:`;
      for (let n = 0; n <= entry.chunks; n++) {
        const text = await store.get(store.indexKey(live, n));
        if (text === undefined) continue;
        const index = JSON.parse(text) as string[];
        const gone = index.filter(id => !seen.has(id));
        if (gone.length === 0) continue;
        await redis.unlinkAll(
          gone.map(id => mark + id),
          guard,
        );
        await store.index(
          live,
          n,
          index.filter(id => seen.has(id)),
          guard,
        );
      }
    },
  };
}
