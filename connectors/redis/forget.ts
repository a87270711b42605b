import type { ErasedIds } from '../../src/contracts/erasure.js';
import type { RankedList } from '../../src/contracts/index.js';
import type { VectorShape } from '../../src/contracts/sink.js';
import { decodeList } from '../../src/publish/decode.js';
import { encodeRanked, storedValue } from '../../src/publish/encode.js';
import { withoutItems } from '../../src/publish/without-items.js';
import type { RedisConnection } from './connection.js';
import { counted } from './counted.js';
import { type Place, shortKey, vectorKey } from './draft.js';
import type { Entry } from './store.js';

/**
 * Takes ids out of a version: first the lists and vectors, then the index, by which those that were left are found again.
 * A note in the entry stands until the numbers are right; where an earlier attempt has left it, they are counted anew.
 * Returns the lists that were deleted and those of others that lost an item.
 */
export async function forgetIn(place: Place, entry: Entry, { users, items }: ErasedIds) {
  const { redis, store, layout } = place;
  const { version } = entry;
  await store.register({ ...entry, forgetting: true });
  const gone = {
    users: users.map(id => layout.list(version, 'users', id)),
    items: items.map(id => layout.list(version, 'items', id)),
  };
  const found = { users: await redis.count(gone.users), items: await redis.count(gone.items) };
  await redis.deleteAll([...gone.users, ...gone.items]);
  const spared = entry.vectors && (await forgetVectors(place, version, entry.vectors, items));
  const short = new Set([
    ...users.map(id => shortKey('users', id)),
    ...items.flatMap(id => [shortKey('items', id), vectorKey(id)]),
  ]);
  let rewritten = 0;
  for (let n = 0; n <= entry.chunks; n++) {
    const index = await store.chunk(version, n);
    const kept = index.filter(id => !short.has(id));
    if (kept.length < index.length) await store.index(version, n, kept);
    if (items.length > 0) rewritten += await takeOut(place, entry, kept, new Set(items));
  }
  const { forgetting: cutOff, ...noted } = entry;
  const left = cutOff
    ? await countAnew(place, entry)
    : {
        lists: { users: entry.lists.users - found.users, items: entry.lists.items - found.items },
        ...(spared && { vectors: spared }),
      };
  await store.register({ ...noted, ...left });
  return { deleted: found.users + found.items, rewritten };
}

/** The numbers of a version's lists and vectors by what there is of them. */
async function countAnew(place: Place, entry: Entry) {
  const { redis, store, layout } = place;
  const { vectors: count, ...lists } = await counted(place, entry, true);
  const { vectors } = entry;
  if (!vectors) return { lists };
  const found = new Set<string>();
  for (let n = 0; n <= entry.chunks; n++)
    for (const id of await store.chunk(entry.version, n)) if (id.startsWith(vectorKey(''))) found.add(id);
  const keys = [...found].map(id => `${layout.mark(entry.version)}:${id}`);
  return { lists, vectors: { ...vectors, count, entries: await numbersIn(redis, keys, vectors) } };
}

/** Stored numbers of the vectors under these keys. */
async function numbersIn(redis: RedisConnection, keys: readonly string[], { form }: VectorShape) {
  const field = form === 'sparse' ? 'values' : 'vector';
  const bytes = await redis.each(keys, key => ['HSTRLEN', key, field]);
  return bytes.reduce<number>((sum, b) => sum + Number(b) / 4, 0);
}

/** Deletes the vectors of items; returns what is left of the shape. */
async function forgetVectors(
  { redis, layout }: Place,
  version: string,
  shape: VectorShape,
  items: readonly string[],
): Promise<VectorShape> {
  const keys = items.map(id => layout.vector(version, id));
  const entries = shape.entries - (await numbersIn(redis, keys, shape));
  const count = shape.count - (await redis.count(keys));
  await redis.deleteAll(keys);
  return { ...shape, count, entries };
}

/** Takes items out of the lists under these keys of the index; returns out of how many. */
async function takeOut(
  { redis, layout, format }: Place,
  entry: Entry,
  index: readonly string[],
  items: ReadonlySet<string>,
): Promise<number> {
  const spared: { readonly key: string; readonly list: RankedList }[] = [];
  for (const id of index) {
    if (id.startsWith(vectorKey(''))) continue;
    const key = `${layout.mark(entry.version)}:${id}`;
    const value = await redis.getBytes(key);
    const list = value && withoutItems(decodeList(value, format.encoding), items);
    if (list) spared.push({ key, list: { id, ...list } });
  }
  if (spared.length === 0) return 0;
  const encoded = encodeRanked(
    spared.map(s => s.list),
    format,
    entry.model ?? entry.version,
  );
  await redis.setAll(
    spared.map(s => s.key),
    r => storedValue(encoded, r),
  );
  return spared.length;
}
