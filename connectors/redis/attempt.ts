import type { EncodedLists, ListFormat, ListKind, Publication } from '../../src/contracts/sink.js';
import { live } from '../../src/contracts/sink.js';
import { hashRange, storedValue } from '../../src/publish/encode.js';
import type { KeyLayout } from '../../src/publish/layout.js';
import { SeenIds } from '../../src/publish/seen-ids.js';
import { refused } from '../../src/publish/sink-steps.js';
import type { RedisConnection } from './connection.js';
import type { Entry, RedisStore } from './store.js';

/** A version being written. */
export interface Attempt {
  readonly version: string;
  /** How many lists are there. */
  written(): Readonly<Record<ListKind, number>>;
  /** Returns how many lists were stored. */
  write(kind: ListKind, lists: EncodedLists): Promise<number>;
  finish(): Promise<void>;
  /** Lets go of the lease. */
  end(): Promise<void>;
}

interface Place {
  readonly redis: RedisConnection;
  readonly store: RedisStore;
  readonly layout: KeyLayout;
  readonly format: ListFormat;
  readonly leaseMs: number;
}

const lost = () =>
  new Error('that the lease was lost: this publisher was silent for too long, or Redis was emptied');

/**
 * Takes the lease, clears away what died, and begins `publication`, or goes on with an attempt at it. An attempt is
 * only gone on with on the very processes it was begun on: others may lack what was written.
 */
export async function beginAttempt(place: Place, publication: Publication, owner: string): Promise<Attempt> {
  const { store, leaseMs, format } = place;
  const other = await store.takeLease(owner);
  if (other !== undefined) throw refused(other);
  let held = true;
  const beat = setInterval(() => {
    store.holdsLease(owner).then(
      holds => {
        held &&= holds;
      },
      () => undefined, // what is under way meets the same failure
    );
  }, leaseMs / 3).unref();
  const end = async () => {
    clearInterval(beat);
    await store.releaseLease(owner);
  };
  try {
    const servers = await store.servers();
    const evicted = await store.evicted();
    const version = format.stamped ? live : publication.version;
    const entry = await claimed(store, { ...publication, version }, servers, format.stamped);
    const writer = format.stamped ? inPlaceWriter(place, entry) : versionWriter(place, entry);
    return {
      version: publication.version,
      written: () => (format.stamped ? { users: 0, items: 0 } : writer.entry.lists),
      end,
      async write(kind, lists) {
        if (!held) throw lost();
        try {
          return await writer.write(kind, lists);
        } catch (error) {
          // What there is of the version only takes room that others lack.
          if (/^OOM/.test((error as Error).message) && !format.stamped) await store.discard(writer.entry);
          throw error;
        }
      },
      async finish() {
        await writer.finish();
        if (!(await store.holdsLease(owner))) throw lost();
        if ((await store.servers()) !== servers)
          throw new Error('that a server was restarted or replaced meanwhile: it may lack what was written');
        const gone = (await store.evicted()) - evicted;
        if (gone > 0)
          throw new Error(`that Redis evicted ${gone} keys meanwhile: give it more memory, or noeviction`);
        await store.mark(version, { ...publication, lists: writer.entry.lists });
        await store.register({ ...writer.entry, ...summary(publication), complete: true });
      },
    };
  } catch (error) {
    await end().catch(() => undefined);
    throw error;
  }
}

const summary = ({ publishedAt, createdAt, model, content, change }: Publication) => ({
  publishedAt: publishedAt ?? createdAt,
  model,
  content,
  change,
});

/** The entry to go on with; deletes every other attempt that was not completed. */
async function claimed(
  store: RedisStore,
  publication: Publication,
  servers: string,
  inPlace: boolean,
): Promise<Entry> {
  const { version, content } = publication;
  let found: Entry | undefined;
  for (const entry of await store.entries()) {
    const same = entry.version === version;
    if (same && entry.complete && !entry.leaving && !inPlace) throw new Error('that it is complete already');
    const resumable = content !== undefined && entry.content === content && entry.servers === servers;
    if (same && !entry.leaving && (resumable || inPlace)) found = entry;
    else if (!entry.complete) await store.discard(entry);
  }
  if (found) return found;
  const lists = { users: 0, items: 0 };
  const entry = { version, ...summary(publication), complete: false, lists, chunks: 0, servers };
  await store.register(entry);
  return entry;
}

interface Writer {
  readonly entry: Entry;
  write(kind: ListKind, lists: EncodedLists): Promise<number>;
  finish(): Promise<void>;
}

const letter = (kind: ListKind): string => (kind === 'users' ? 'u' : 'i');

/** Writes every list; index, lists and progress in this order, so that whatever was written can be found. */
function versionWriter({ redis, store, layout }: Place, begun: Entry): Writer {
  const { version } = begun;
  let entry = begun;
  return {
    get entry() {
      return entry;
    },
    async write(kind, lists) {
      const { ids } = lists;
      await store.index(
        version,
        entry.chunks,
        ids.map(id => `${letter(kind)}:${id}`),
      );
      await redis.setAll(
        ids.map(id => layout.list(version, kind, id)),
        r => storedValue(lists, r),
      );
      entry = {
        ...entry,
        chunks: entry.chunks + 1,
        lists: { ...entry.lists, [kind]: entry.lists[kind] + ids.length },
      };
      await store.register(entry);
      return ids.length;
    },
    finish: async () => undefined,
  };
}

/** Writes the lists whose hash differs from what is there, and at the end deletes those that did not come. */
function inPlaceWriter({ redis, store, layout, format }: Place, begun: Entry): Writer {
  const seen = new SeenIds();
  const lists = { users: 0, items: 0 };
  const [from, to] = hashRange(format).map(String) as [string, string];
  let entry = begun;
  return {
    get entry() {
      return entry;
    },
    async write(kind, encoded) {
      const { ids } = encoded;
      const value = (r: number) => storedValue(encoded, r);
      const keys = ids.map(id => layout.list(live, kind, id));
      const found = await redis.each(keys, key => ['GETRANGE', key, from, String(Number(to) - 1)]);
      for (const id of ids) seen.add(`${letter(kind)}:${id}`);
      const rows = ids.map((_, r) => r);
      const added = rows.filter(r => found[r] === '');
      const changed = rows.filter(r => found[r] !== value(r).toString('latin1', Number(from), Number(to)));
      if (added.length > 0) {
        const index = added.map(r => `${letter(kind)}:${ids[r]!}`);
        await store.index(live, entry.chunks, index);
        entry = { ...entry, chunks: entry.chunks + 1 };
        await store.register(entry);
      }
      await redis.setAll(
        changed.map(r => keys[r]!),
        k => value(changed[k]!),
      );
      lists[kind] += ids.length;
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
        await redis.deleteAll(gone.map(id => mark + id));
        await store.index(
          live,
          n,
          index.filter(id => seen.has(id)),
        );
      }
      entry = { ...entry, lists };
    },
  };
}
