import type { ErasedIds } from '../../src/contracts/erasure.js';
import type { RankedList } from '../../src/contracts/index.js';
import type { VectorShape } from '../../src/contracts/sink.js';
import { decodeList } from '../../src/publish/decode.js';
import { encodeRanked, storedValue } from '../../src/publish/encode.js';
import { withoutItems } from '../../src/publish/without-items.js';
import { type Place, shortKey, vectorKey } from './draft.js';
import type { Entry } from './store.js';

/**
 * Takes ids out of a version: first the lists and vectors, then the index, by which those that were left are found again. Returns
 * the lists that were deleted and those of others that lost an item.
 */
export async function forgetIn(place: Place, entry: Entry, { users, items }: ErasedIds) {
  const { redis, store, layout } = place;
  const { version } = entry;
  const gone = {
    users: users.map(id => layout.list(version, 'users', id)),
    items: items.map(id => layout.list(version, 'items', id)),
  };
  const found = { users: await redis.count(gone.users), items: await redis.count(gone.items) };
  await redis.deleteAll([...gone.users, ...gone.items]);
  const vectors = entry.vectors && (await forgetVectors(place, version, entry.vectors, items));
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
  const lists = {
    users: entry.lists.users - found.users,
    items: entry.lists.items - found.items,
  };
  await store.register({ ...entry, lists, ...(vectors && { vectors }) });
  return { deleted: found.users + found.items, rewritten };
}

/** Deletes the vectors of items; returns what is left of the shape. */
async function forgetVectors(
  { redis, layout }: Place,
  version: string,
  shape: VectorShape,
  items: readonly string[],
): Promise<VectorShape> {
  const keys = items.map(id => layout.vector(version, id));
  const field = shape.form === 'sparse' ? 'values' : 'vector';
  const bytes = await redis.each(keys, key => ['HSTRLEN', key, field]);
  const count = shape.count - (await redis.count(keys));
  await redis.deleteAll(keys);
  return {
    ...shape,
    count,
    entries: shape.entries - bytes.reduce<number>((sum, b) => sum + Number(b) / 4, 0),
  };
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
