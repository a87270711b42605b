import { randomUUID } from 'node:crypto';
import { champion, type ListFormat, type ListKind, live, type Sink } from '../../src/contracts/sink.js';
import { decodeList } from '../../src/publish/decode.js';
import { encodeRanked, storedValue } from '../../src/publish/encode.js';
import { checkAlias, checkVersion, keyLayout } from '../../src/publish/layout.js';
import { superseded } from '../../src/publish/retention.js';
import { conflict, limitsOf, sinkSteps } from '../../src/publish/sink-steps.js';
import { type Attempt, beginAttempt } from './attempt.js';
import { connectRedis, type RedisConnection } from './connection.js';
import { type RedisOptions, redisOptions } from './options.js';
import { type Entry, type RedisStore, redisStore } from './store.js';

export { type RedisOptions, redisOptions };

/** Bytes that Redis 7 takes for a key with its object, hash table entry and allocator slack (measured). */
const overheadBytes = 96;

/**
 * Lists in Redis or Valkey. `<prefix>:<version>:u:<user>` and `…:i:<item>` hold the lists, `<prefix>:<version>` the
 * manifest once the version is complete, `<prefix>:current` the version to read. Superseded versions get a time to
 * live. A connection that breaks is waited for; what a server that was restarted may have lost is written again.
 */
export function createRedisSink(options: RedisOptions): Sink {
  const layout = keyLayout(options.prefix);
  const where = `Redis ${options.url.split(',').map(withoutPassword).join(', ')}, prefix ${options.prefix}`;
  const step = sinkSteps(where);
  const inPlace = options.mode === 'inplace';
  const format: ListFormat = { encoding: options.encoding, stamped: inPlace };
  let opened: { readonly redis: RedisConnection; readonly store: RedisStore } | undefined;
  let attempt: Attempt | undefined;
  let owner = '';

  function connected() {
    if (opened === undefined) throw new Error('a sink that is not connected');
    return opened;
  }

  function begun(): Attempt {
    if (attempt === undefined) throw new Error('no version begun');
    return attempt;
  }

  /** Makes room for a new version by deleting the keys of one whose mark is gone, unless a pointer came to it. */
  async function retire(store: RedisStore, entry: Entry): Promise<void> {
    const manifest = await store.get(layout.mark(entry.version));
    await store.register({ ...entry, leaving: true });
    await store.unmark(entry.version);
    if (manifest !== undefined && [...(await store.pointers()).values()].includes(entry.version)) {
      await store.mark(entry.version, JSON.parse(manifest));
      await store.register(entry);
      return;
    }
    await store.discard(entry, options.graceMs);
  }

  return {
    name: 'redis',
    ...limitsOf(options),
    format,
    inPlace,
    overheadBytes,

    connect: (named = randomUUID()) =>
      step('to connect', async () => {
        if (opened) return;
        owner = named;
        const redis = await connectRedis(options);
        opened = { redis, store: redisStore(redis, layout, options.leaseMs) };
      }),

    begin: publication =>
      step(`to begin version ${publication.version}`, async () => {
        checkVersion(publication.version, where);
        await attempt?.end();
        attempt = undefined;
        attempt = await beginAttempt(
          { ...connected(), layout, format, leaseMs: options.leaseMs },
          publication,
          owner,
        );
        return attempt.written();
      }),

    write: (kind, lists) =>
      step(`to write lists of ${kind}`, () => {
        const { version, write } = begun();
        return write(kind, encodeRanked(lists, format, version));
      }),

    writeEncoded: (kind, lists) => step(`to write lists of ${kind}`, () => begun().write(kind, lists)),

    finish: () =>
      step('to finish the version', async () => {
        await begun().finish();
      }),

    point: (version, alias = champion, expected) =>
      step(`to point ${alias} at version ${version}`, async () => {
        const { store } = connected();
        checkVersion(version, where);
        checkAlias(alias);
        const target = inPlace ? live : version;
        if (!(await store.isComplete(target))) throw new Error('no such version or an unfinished one');
        const found = await store.move(alias, target, expected);
        if (found !== undefined) throw conflict(alias, found, expected ?? null);
        if (await store.isComplete(target)) return;
        // It was retired at the same moment.
        if (expected) await store.move(alias, expected, target);
        else await store.dropPointer(alias);
        throw new Error('a version that was just deleted');
      }),

    current: alias => step('to read the pointer', () => connected().store.get(layout.pointer(alias))),
    pointers: () => step('to read the pointers', () => connected().store.pointers()),
    versions: () =>
      step('to read the versions', async () => (await connected().store.entries()).filter(e => !e.leaving)),

    get: (kind, id, alias) =>
      step(`to read the list of ${id}`, async () => {
        const { redis, store } = connected();
        const version = await store.get(layout.pointer(alias));
        const bytes = version && (await redis.getBytes(layout.list(version, kind, id)));
        if (!bytes) return undefined;
        const { items, scores, fallback } = decodeList(bytes, options.encoding);
        return { id, items, scores, ...(fallback ? { fallback } : {}) };
      }),

    amend: (version, kind, { lists, gone, change }) =>
      step(`to amend version ${version}`, async () => {
        const { redis, store } = connected();
        const entry = (await store.entries()).find(e => e.version === version && e.complete && !e.leaving);
        if (!entry) throw new Error('no such version or an unfinished one');
        const keyOf = (id: string) => layout.list(version, kind, id);
        const found = await redis.each(
          lists.map(l => keyOf(l.id)),
          key => ['EXISTS', key],
        );
        const added = lists.filter((_, r) => found[r] === 0);
        // The index first: a key that is not in it would never be deleted.
        let { chunks } = entry;
        if (added.length > 0)
          await store.index(
            version,
            chunks++,
            added.map(l => shortKey(kind, l.id)),
          );
        const encoded = encodeRanked(lists, format, entry.model ?? version);
        await redis.setAll(encoded.ids.map(keyOf), r => storedValue(encoded, r));
        await redis.deleteAll(gone.map(keyOf));
        const counts = { ...entry.lists, [kind]: entry.lists[kind] + added.length };
        await store.register({
          ...entry,
          chunks,
          lists: counts,
          ...(change === undefined ? {} : { change }),
        });
      }),

    prune: keep =>
      step('to delete superseded versions', async () => {
        const { store } = connected();
        const [entries, pointers] = [await store.entries(), await store.pointers()];
        const old = new Set(superseded(entries, pointers.values(), keep));
        for (const entry of entries) if (entry.leaving || old.has(entry.version)) await retire(store, entry);
      }),

    async close() {
      const last = opened;
      opened = undefined;
      await attempt?.end().catch(() => undefined);
      attempt = undefined;
      // A process of this owner that died may have left it.
      await last?.store.releaseLease(owner).catch(() => undefined);
      await last?.redis.close();
    },
  };
}

/** The part of a list's key behind its version. */
const shortKey = (kind: ListKind, id: string): string => `${kind === 'users' ? 'u' : 'i'}:${id}`;

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
