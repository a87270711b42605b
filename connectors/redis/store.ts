import type { SinkVersion } from '../../src/contracts/sink.js';
import type { KeyLayout } from '../../src/publish/layout.js';
import { mayFollow } from '../../src/publish/lease.js';
import type { Move } from '../../src/publish/list-store.js';
import { leaseLost } from '../../src/publish/sink-steps.js';
import type { Guard, RedisConnection } from './connection.js';

/** A version in the registry. */
export interface Entry extends SinkVersion {
  /** Chunks of the index of its keys; one more may have been written. */
  readonly chunks: number;
  /** The servers it was begun on, as `servers` tells: an attempt on others has lost what it wrote. */
  readonly servers: string;
  /** Set when its keys have been given their time to live. */
  readonly leaving?: boolean;
  /** Set while single lists change: `lists` may be wrong. */
  readonly amending?: boolean;
}

// Pointers and leases change by compare-and-set, each on one key, so that this works in a cluster too.
const compareAndSet = `local found = redis.call('GET', KEYS[1]) or ''
if ARGV[2] == '=' and found ~= ARGV[3] then return found end
redis.call('SET', KEYS[1], ARGV[1])
return false`;
const take = `local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] and found ~= ARGV[3] then return found end
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
 *     p:lease                the holder of the lease, with a time to live
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
  /** The condition of everything that an attempt writes. */
  const heldBy = (holder: string): Guard => ({ key: leaseKey, value: holder, refusal: leaseLost });
  const get = async (key: string): Promise<string | undefined> =>
    ((await redis.send(key, ['GET', key])) as string | null) ?? undefined;

  /** What a chunk of the index of a version's lists has. */
  const chunk = async (version: string, n: number): Promise<string[]> =>
    JSON.parse((await get(indexKey(version, n))) ?? '[]') as string[];

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

    heldBy,

    async register(entry: Entry, guard?: Guard): Promise<void> {
      await redis.send(versionsKey, ['HSET', versionsKey, entry.version, JSON.stringify(entry)], guard);
    },

    isComplete: async (version: string): Promise<boolean> =>
      (await redis.send(layout.mark(version), ['EXISTS', layout.mark(version)])) === 1,

    async mark(version: string, manifest: string, guard?: Guard): Promise<void> {
      await redis.send(layout.mark(version), ['SET', layout.mark(version), manifest], guard);
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
    async move({ alias, version, expected, holder }: Move): Promise<string | undefined> {
      await redis.send(aliasesKey, ['SADD', aliasesKey, alias]);
      const key = layout.pointer(alias);
      const compared = expected === undefined ? ['', ''] : ['=', expected ?? ''];
      const command = ['EVAL', compareAndSet, '1', key, version, ...compared];
      const found = await redis.send(key, command, holder === undefined ? undefined : heldBy(holder));
      // Tried twice, because the answer to the first try was lost: the first one moved it.
      return found === null || found === version ? undefined : String(found);
    },

    dropPointer: (alias: string) => redis.deleteAll([layout.pointer(alias)]),

    /** Takes the lease; returns the holder that has it, if that is another. */
    async takeLease(holder: string): Promise<string | undefined> {
      let over = '';
      for (;;) {
        const found = (await evaluate(take, leaseKey, holder, String(leaseMs), over)) as string | null;
        if (found === null) return undefined;
        if (!mayFollow(found, holder)) return found;
        over = found;
      }
    },

    renewLease: async (holder: string): Promise<boolean> =>
      (await evaluate(renew, leaseKey, holder, String(leaseMs))) === 1,

    releaseLease: async (holder: string): Promise<void> => void (await evaluate(release, leaseKey, holder)),

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

    async index(version: string, n: number, ids: readonly string[], guard?: Guard): Promise<void> {
      await redis.send(indexKey(version, n), ['SET', indexKey(version, n), JSON.stringify(ids)], guard);
    },

    chunk,
    chunksOf,

    /** Deletes what there is of a version that was not completed, by the holder of the lease. */
    async discard({ version, chunks }: Entry, holder: string): Promise<void> {
      const guard = heldBy(holder);
      await redis.unlinkAll([layout.mark(version)], guard);
      for await (const keys of chunksOf(version, chunks)) await redis.unlinkAll(keys, guard);
      await redis.send(versionsKey, ['HDEL', versionsKey, version], guard);
    },

    /** Deletes the keys of a version without a mark, after `graceMs` if that is not 0, and then forgets it. */
    async remove({ version, chunks }: Entry, graceMs: number): Promise<void> {
      for await (const keys of chunksOf(version, chunks)) {
        // It may have been written again meanwhile.
        if (await store.isComplete(version)) return;
        await redis.deleteAll(keys.slice(0, -1), graceMs);
        await redis.deleteAll(keys.slice(-1), graceMs);
      }
      await redis.send(versionsKey, ['HDEL', versionsKey, version]);
    },
  };
  return store;
}

export type RedisStore = ReturnType<typeof redisStore>;
