import type { ErasedIds, ForgottenLists } from '../../src/contracts/erasure.js';
import {
  type Amendment,
  type EncodedLists,
  type ListFormat,
  type ListKind,
  live,
  type Publication,
  type Sink,
} from '../../src/contracts/sink.js';
import { encodeRanked, storedValue } from '../../src/publish/encode.js';
import { type KeyLayout, keyLayout } from '../../src/publish/layout.js';
import type { Access, ListStore, Move } from '../../src/publish/list-store.js';
import { assertExpected, listsMissing, notComplete, Refusal } from '../../src/publish/sink-steps.js';
import { createKeyedSink } from '../../src/publish/versioned-sink.js';
import { createProbe } from '../../src/runtime/probe.js';
import { connectRedis, type RedisConnection } from './connection.js';
import { counted } from './counted.js';
import { beginDraft, shortKey } from './draft.js';
import { forgetIn } from './forget.js';
import { type RedisOptions, redisOptions } from './options.js';
import { type Entry, RedisStore } from './store.js';

export { type RedisOptions, redisOptions };

/** Bytes that Redis 7 takes for a key with its object, hash table entry and allocator slack (measured). */
const overheadBytes = 96;

/**
 * Lists in Redis or Valkey. `<prefix>:<version>:u:<user>` and `…:i:<item>` hold the lists, `…:v:<item>` vectors, `<prefix>:<version>` the
 * manifest once the version is complete, `<prefix>:current` the version to read. Superseded versions get a time to
 * live. A connection that breaks is waited for; what a server that was restarted may have lost is written again.
 */
export function createRedisSink(options: RedisOptions): Sink {
  const where = `Redis ${options.url.split(',').map(withoutPassword).join(', ')}, prefix ${options.prefix}`;
  const sink = createKeyedSink(
    { name: 'redis', where, options, overheadBytes },
    format => new RedisLists(options, format),
  );
  const openProbe = () =>
    createProbe({
      open: () => connectRedis(options),
      ask: redis => redis.info('server'),
      close: redis => redis.close(),
    });
  return Object.assign(sink, { openProbe });
}

/** The lists of one prefix: the keys of `RedisStore`, as a store of versions. */
class RedisLists implements ListStore<EncodedLists> {
  readonly #options: RedisOptions;
  readonly #format: ListFormat;
  readonly #layout: KeyLayout;
  #opened: { readonly redis: RedisConnection; readonly store: RedisStore } | undefined;

  readonly keepsVectors: boolean;

  constructor(options: RedisOptions, format: ListFormat) {
    this.#options = options;
    this.keepsVectors = options.mode === 'versions';
    this.#format = format;
    this.#layout = keyLayout(options.prefix);
  }

  get #redis(): RedisConnection {
    return this.#opened!.redis;
  }

  get #store(): RedisStore {
    return this.#opened!.store;
  }

  async open(access: Access, owner?: string): Promise<boolean> {
    const redis = await connectRedis(this.#options);
    this.#opened = { redis, store: new RedisStore(redis, this.#layout, this.#options.leaseMs) };
    // What cannot be taken away runs out.
    if (access === 'write') await this.#store.tidyLease(owner).catch(() => undefined);
    return true;
  }

  close = () => this.#redis.close();
  takeLease = (holder: string) => this.#store.takeLease(holder);
  renewLease = (holder: string) => this.#store.renewLease(holder);
  releaseLease = (holder: string) => this.#store.releaseLease(holder);

  begin(target: string, publication: Publication, holder: string) {
    return beginDraft(this.#place, target, publication, holder);
  }

  get #place() {
    return { ...this.#opened!, layout: this.#layout, format: this.#format };
  }

  versions = async () => (await this.#store.entries()).filter(e => !e.leaving);
  pointers = () => this.#store.pointers();
  current = (alias: string) => this.#store.get(this.#layout.pointer(alias));

  async point(move: Move): Promise<void> {
    const store = this.#store;
    const { alias, version, expected } = move;
    if (!(await store.isComplete(version))) throw notComplete(version);
    await this.#assertWhole(version);
    const found = await store.move(move);
    if (found !== undefined) assertExpected(alias, found || undefined, version, expected);
    if (await store.isComplete(version)) return;
    // It was retired at the same moment.
    if (expected) await store.move({ alias, version: expected, expected: version, holder: undefined });
    else await store.dropPointer(alias);
    throw new Refusal(`version ${version} was just deleted; publish it again`);
  }

  /** Throws if lists or vectors of a complete version are missing. */
  async #assertWhole(version: string): Promise<void> {
    const entry = (await this.#store.entries()).find(e => e.version === version);
    // What was cut off has left the numbers open.
    if (!entry || entry.forgetting) return;
    const found = await counted(this.#place, entry);
    const counts = { ...entry.lists, vectors: entry.vectors?.count ?? 0 };
    const kinds = entry.amending ? (['vectors'] as const) : (['users', 'items', 'vectors'] as const);
    for (const kind of kinds)
      if (found[kind] < counts[kind]) throw listsMissing(version, kind, found[kind], counts[kind]);
  }

  read = (version: string, kind: ListKind, id: string) =>
    this.#redis.getBytes(this.#layout.list(version, kind, id));

  /**
   * First the index, because a key that is not in it would never be deleted, and a note that lists change; then the
   * lists; then how many there are. What was cut off between is found by the note or the index, and counted anew.
   */
  async amend(version: string, kind: ListKind, { lists, gone, change }: Amendment): Promise<void> {
    const [redis, store] = [this.#redis, this.#store];
    const entry = (await store.entries()).find(e => e.version === version && e.complete && !e.leaving);
    if (!entry) throw notComplete(version);
    const keyOf = (id: string) => this.#layout.list(version, kind, id);
    const found = await redis.each(
      lists.map(l => keyOf(l.id)),
      key => ['EXISTS', key],
    );
    const added = lists.filter((_, r) => found[r] === 0).map(l => shortKey(kind, l.id));
    const removed = await redis.count(gone.map(keyOf));
    const left = await store.chunk(version, entry.chunks);
    const { chunks } = entry;
    if (added.length > 0) await store.index(version, chunks, [...new Set([...left, ...added])]);
    const noted = { ...entry, amending: true, chunks: chunks + (added.length + left.length > 0 ? 1 : 0) };
    if (lists.length + gone.length > 0) await store.register(noted);
    const encoded = encodeRanked(lists, this.#format, entry.model ?? version);
    await redis.setAll(encoded.ids.map(keyOf), r => storedValue(encoded, r));
    await redis.deleteAll(gone.map(keyOf));
    const cutOff = entry.amending || left.length > 0;
    const counts = { ...entry.lists, [kind]: entry.lists[kind] + added.length - removed };
    const { amending: _, ...amended } = noted;
    const { users, items } = cutOff ? await counted(this.#place, noted, true) : counts;
    await store.register({
      ...amended,
      lists: { users, items },
      ...(change === undefined ? {} : { change }),
    });
  }

  async forget(erased: ErasedIds, holder: string): Promise<ForgottenLists> {
    const total = { deleted: 0, rewritten: 0 };
    for (const entry of await this.#store.entries()) {
      if (entry.complete || entry.leaving || entry.version === live) {
        const { deleted, rewritten } = await forgetIn(this.#place, entry, erased);
        total.deleted += deleted;
        total.rewritten += rewritten;
      } else await this.#store.discard(entry, holder);
    }
    const remains = [
      'snapshots and append-only files of Redis have the id until they are written again (BGSAVE, BGREWRITEAOF)',
      `lists of a version that was just superseded run out within ${this.#options.graceMs} ms`,
    ];
    return { ...total, remains };
  }

  /** Also goes on with deletions that were cut off. */
  async remove(versions: readonly string[]): Promise<void> {
    const old = new Set(versions);
    for (const entry of await this.#store.entries())
      if (entry.leaving || old.has(entry.version)) await this.#retire(entry);
  }

  /** Makes room for a new version by deleting the keys of one whose mark is gone, unless a pointer came to it. */
  async #retire(entry: Entry): Promise<void> {
    const store = this.#store;
    const manifest = await store.get(this.#layout.mark(entry.version));
    await store.register({ ...entry, leaving: true });
    await store.unmark(entry.version);
    if (manifest !== undefined && [...(await store.pointers()).values()].includes(entry.version)) {
      await store.mark(entry.version, manifest);
      await store.register(entry);
      return;
    }
    await store.remove(entry, this.#options.graceMs);
  }
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
