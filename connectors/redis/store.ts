import type { ListKind, Publication, SinkVersion } from '../../src/contracts/sink.js';
import type { KeyLayout } from '../../src/publish/layout.js';
import type { RedisConnection } from './connection.js';

/** A version in the registry. */
export interface Entry extends SinkVersion {
  /** Chunks of the index of its keys; one more may have been written. */
  readonly chunks: number;
  /** The servers it was begun on, as `servers` tells: an attempt on others has lost what it wrote. */
  readonly servers: string;
  /** Set when its keys have been given their time to live. */
  readonly leaving?: boolean;
}

// Pointers and leases change by compare-and-set, each on one key, so that this works in a cluster too.
const compareAndSet = `local found = redis.call('GET', KEYS[1]) or ''
if ARGV[2] == '=' and found ~= ARGV[3] then return found end
redis.call('SET', KEYS[1], ARGV[1])
return false`;
const take = `local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false`;
const renew = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`;
const release = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end`;

/**
 * The keys of one prefix beside the lists:
 *
 *     p:versions             hash: version → its entry as JSON
 *     p:aliases              set of the aliases that were ever pointed
 *     p:lease                the owner that writes, with a time to live
 *     p:<version>:keys:<n>   index of the version's lists, for deletion without SCAN: `["u:<user>", …]`
 */
export function redisStore(redis: RedisConnection, layout: KeyLayout, leaseMs: number) {
  const { prefix } = layout;
  const [versionsKey, aliasesKey, leaseKey] = ['versions', 'aliases', 'lease'].map(
    name => `${prefix}:${name}`,
  ) as [string, string, string];
  const indexKey = (version: string, n: number): string => `${layout.mark(version)}:keys:${n}`;
  const evaluate = (script: string, key: string, ...args: readonly string[]) =>
    redis.send(key, ['EVAL', script, '1', key, ...args]);
  const get = async (key: string): Promise<string | undefined> =>
    ((await redis.send(key, ['GET', key])) as string | null) ?? undefined;

  /** The keys of a version, chunk by chunk, with the key of the chunk last. */
  async function* chunksOf(version: string, chunks: number): AsyncGenerator<readonly string[]> {
    for (let n = 0; n <= chunks; n++) {
      const found = await get(indexKey(version, n));
      if (found === undefined) continue;
      const mark = layout.mark(version);
      yield [...(JSON.parse(found) as string[]).map(id => `${mark}:${id}`), indexKey(version, n)];
    }
  }

  const store = {
    get,
    indexKey,

    async entries(): Promise<Entry[]> {
      const reply = (await redis.send(versionsKey, ['HVALS', versionsKey])) as string[];
      return reply.map(text => JSON.parse(text) as Entry);
    },

    async register(entry: Entry): Promise<void> {
      await redis.send(versionsKey, ['HSET', versionsKey, entry.version, JSON.stringify(entry)]);
    },

    isComplete: async (version: string): Promise<boolean> =>
      (await redis.send(layout.mark(version), ['EXISTS', layout.mark(version)])) === 1,

    async mark(version: string, manifest: Publication & { lists: Record<ListKind, number> }): Promise<void> {
      await redis.send(layout.mark(version), ['SET', layout.mark(version), JSON.stringify(manifest)]);
    },

    unmark: (version: string) => redis.deleteAll([layout.mark(version)]),

    async pointers(): Promise<Map<string, string>> {
      const names = (await redis.send(aliasesKey, ['SMEMBERS', aliasesKey])) as string[];
      const found = await Promise.all(
        names.map(async name => [name, await get(layout.pointer(name))] as const),
      );
      return new Map(found.filter((pair): pair is readonly [string, string] => pair[1] !== undefined).sort());
    },

    /** Moves a pointer; returns what it names instead of `expected`, if anything ('' for none). */
    async move(
      alias: string,
      version: string,
      expected: string | null | undefined,
    ): Promise<string | undefined> {
      await redis.send(aliasesKey, ['SADD', aliasesKey, alias]);
      const compared = expected === undefined ? ['', ''] : ['=', expected ?? ''];
      const found = await evaluate(compareAndSet, layout.pointer(alias), version, ...compared);
      // Tried twice, because the answer to the first try was lost: the first one moved it.
      return found === null || found === version ? undefined : String(found);
    },

    dropPointer: (alias: string) => redis.deleteAll([layout.pointer(alias)]),

    /** Takes the lease; returns the owner that has it, if that is another. */
    async takeLease(owner: string): Promise<string | undefined> {
      return ((await evaluate(take, leaseKey, owner, String(leaseMs))) as string | null) ?? undefined;
    },

    renewLease: async (owner: string): Promise<boolean> =>
      (await evaluate(renew, leaseKey, owner, String(leaseMs))) === 1,

    releaseLease: async (owner: string): Promise<void> => void (await evaluate(release, leaseKey, owner)),

    /** Which servers there are, as the ids of their processes: one that was restarted may have lost writes. */
    async servers(): Promise<string> {
      const ids = (await redis.info('server')).map(info => info.get('run_id') ?? '?');
      return ids.sort().join(',');
    },

    /** Keys evicted so far by servers whose policy may evict lists. */
    async evicted(): Promise<number> {
      const [memory, stats] = await Promise.all([redis.info('memory'), redis.info('stats')]);
      const evicting = memory.some(info => info.get('maxmemory_policy')?.startsWith('allkeys'));
      return evicting ? stats.reduce((sum, info) => sum + Number(info.get('evicted_keys') ?? 0), 0) : 0;
    },

    async index(version: string, n: number, ids: readonly string[]): Promise<void> {
      await redis.send(indexKey(version, n), ['SET', indexKey(version, n), JSON.stringify(ids)]);
    },

    chunksOf,

    /** Deletes a version's keys, after `graceMs` if that is not 0, and then forgets it. */
    async discard({ version, chunks }: Entry, graceMs = 0): Promise<void> {
      await store.unmark(version);
      for await (const keys of chunksOf(version, chunks)) {
        await redis.deleteAll(keys.slice(0, -1), graceMs);
        await redis.deleteAll(keys.slice(-1), graceMs);
      }
      await redis.send(versionsKey, ['HDEL', versionsKey, version]);
    },
  };
  return store;
}

export type RedisStore = ReturnType<typeof redisStore>;
