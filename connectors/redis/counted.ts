import { type Place, shortKey, vectorKey } from './draft.js';
import type { Entry } from './store.js';

const starts = { users: shortKey('users', ''), items: shortKey('items', ''), vectors: vectorKey('') };

/** What there is of a version, by its index, where an id that went and came again, or a vector, may stand twice. */
export async function counted(
  { redis, store, layout }: Place,
  { version, chunks }: Entry,
  distinct = false,
): Promise<Record<keyof typeof starts, number>> {
  const counts = { users: 0, items: 0, vectors: 0 };
  const seen = new Set<string>();
  for (let n = 0; n <= chunks; n++) {
    const index = (await store.chunk(version, n)).filter(id => !seen.has(id));
    for (const id of index) if (distinct || id.startsWith(starts.vectors)) seen.add(id);
    for (const kind of ['users', 'items', 'vectors'] as const) {
      const short = index.filter(id => id.startsWith(starts[kind]));
      counts[kind] += await redis.count(short.map(id => `${layout.mark(version)}:${id}`));
    }
  }
  return counts;
}
