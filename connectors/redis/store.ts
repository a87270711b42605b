import type { SinkVersion } from '../../src/contracts/sink.js';
import type { KeyLayout } from '../../src/publish/layout.js';
import { hasDied, mayFollow } from '../../src/publish/lease.js';
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
  /** Set while ids are taken out: `lists` and `vectors` may be wrong. */
  readonly forgetting?: boolean;
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
 * The keys of one prefix beside the lists. The object itself holds only names of keys: all state is in Redis, and each
 * command leaves it whole.
 *
 *     p:versions             hash: version → its entry as JSON
 *     p:aliases              set of the aliases that were ever pointed
 *     p:lease                the holder of the lease, with a time to live
 *     p:<version>:keys:<n>   index of the version's lists, for deletion without SCAN: `["u:<user>", …]`
 */
export class RedisStore {
  readonly #redis: RedisConnection;
  readonly #layout: KeyLayout;
  readonly #leaseMs: number;
  readonly #versionsKey: string;
  readonly #aliasesKey: string;
  readonly #leaseKey: string;

  constructor(redis: RedisConnection, layout: KeyLayout, leaseMs: number) {
    this.#redis = redis;
    this.#layout = layout;
    this.#leaseMs = leaseMs;
    this.#versionsKey = `${layout.prefix}:versions`;
    this.#aliasesKey = `${layout.prefix}:aliases`;
    this.#leaseKey = `${layout.prefix}:lease`;
  }

  async get(key: string): Promise<string | undefined> {
    return ((await this.#redis.send(key, ['GET', key])) as string | null) ?? undefined;
  }

  indexKey(version: string, n: number): string {
    return `${this.#layout.mark(version)}:keys:${n}`;
  }

  async entries(): Promise<Entry[]> {
    const key = this.#versionsKey;
    const reply = (await this.#redis.send(key, ['HVALS', key])) as string[];
    return reply.map(text => JSON.parse(text) as Entry);
  }

  /** The condition of everything that an attempt writes. */
  heldBy(holder: string): Guard {
    return { key: this.#leaseKey, value: holder, refusal: leaseLost };
  }

  async register(entry: Entry, guard?: Guard): Promise<void> {
    const key = this.#versionsKey;
    await this.#redis.send(key, ['HSET', key, entry.version, JSON.stringify(entry)], guard);
  }

  async isComplete(version: string): Promise<boolean> {
    const mark = this.#layout.mark(version);
    return (await this.#redis.send(mark, ['EXISTS', mark])) === 1;
  }

  async mark(version: string, manifest: string, guard?: Guard): Promise<void> {
    const mark = this.#layout.mark(version);
    await this.#redis.send(mark, ['SET', mark, manifest], guard);
  }

  unmark(version: string): Promise<void> {
    return this.#redis.deleteAll([this.#layout.mark(version)]);
  }

  async pointers(): Promise<Map<string, string>> {
    const names = (await this.#redis.send(this.#aliasesKey, ['SMEMBERS', this.#aliasesKey])) as string[];
    const found = await Promise.all(
      names.map(async name => [name, await this.get(this.#layout.pointer(name))] as const),
    );
    return new Map(found.filter((pair): pair is readonly [string, string] => pair[1] !== undefined).sort());
  }

  /** Moves a pointer; returns what it names instead of `expected`, if anything ('' for none). */
  async move({ alias, version, expected, holder }: Move): Promise<string | undefined> {
    await this.#redis.send(this.#aliasesKey, ['SADD', this.#aliasesKey, alias]);
    const key = this.#layout.pointer(alias);
    const compared = expected === undefined ? ['', ''] : ['=', expected ?? ''];
    const command = ['EVAL', compareAndSet, '1', key, version, ...compared];
    const guard = holder === undefined ? undefined : this.heldBy(holder);
    const found = await this.#redis.send(key, command, guard);
    // Tried twice, because the answer to the first try was lost: the first one moved it.
    return found === null || found === version ? undefined : String(found);
  }

  dropPointer(alias: string): Promise<void> {
    return this.#redis.deleteAll([this.#layout.pointer(alias)]);
  }

  /** Takes the lease; returns the holder that has it, if that is another. */
  async takeLease(holder: string): Promise<string | undefined> {
    let over = '';
    for (;;) {
      const found = (await this.#ofLease(take, holder, String(this.#leaseMs), over)) as string | null;
      if (found === null) return undefined;
      if (!mayFollow(found, holder)) return found;
      over = found;
    }
  }

  async renewLease(holder: string): Promise<boolean> {
    return (await this.#ofLease(renew, holder, String(this.#leaseMs))) === 1;
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#ofLease(release, holder);
  }

  /** Removes the lease of a process of `owner` that has died. */
  async tidyLease(owner?: string): Promise<void> {
    const holder = await this.get(this.#leaseKey);
    if (holder !== undefined && hasDied(holder, owner)) await this.releaseLease(holder);
  }

  /** Runs a script on the key of the lease. */
  #ofLease(script: string, ...args: readonly string[]): Promise<unknown> {
    return this.#redis.send(this.#leaseKey, ['EVAL', script, '1', this.#leaseKey, ...args]);
  }

  /** Which servers there are, as the ids of their processes: one that was restarted may have lost writes. */
  async servers(): Promise<string> {
    const ids = (await this.#redis.info('server')).map(info => info.get('run_id') ?? '?');
    return ids.sort().join(',');
  }

  /** Keys evicted so far by servers whose policy may evict lists. */
  async evicted(): Promise<number> {
    const [memory, stats] = await Promise.all([this.#redis.info('memory'), this.#redis.info('stats')]);
    const evicting = memory.some(info => info.get('maxmemory_policy')?.startsWith('allkeys'));
    return evicting ? stats.reduce((sum, info) => sum + Number(info.get('evicted_keys') ?? 0), 0) : 0;
  }

  async index(version: string, n: number, ids: readonly string[], guard?: Guard): Promise<void> {
    const key = this.indexKey(version, n);
    await this.#redis.send(key, ['SET', key, JSON.stringify(ids)], guard);
  }

  /** What a chunk of the index of a version's lists has. */
  async chunk(version: string, n: number): Promise<string[]> {
    return JSON.parse((await this.get(this.indexKey(version, n))) ?? '[]') as string[];
  }

  /** The keys of a version, chunk by chunk, with the key of the chunk last. */
  async *chunksOf(version: string, chunks: number): AsyncGenerator<readonly string[]> {
    for (let n = 0; n <= chunks; n++) {
      const key = this.indexKey(version, n);
      const found = await this.get(key);
      if (found === undefined) continue;
      const mark = this.#layout.mark(version);
      yield [...(JSON.parse(found) as string[]).map(id => `${mark}:${id}`), key];
    }
  }

  /** Deletes what there is of a version that was not completed, by the holder of the lease. */
  async discard({ version, chunks }: Entry, holder: string): Promise<void> {
    const guard = this.heldBy(holder);
    await this.#redis.unlinkAll([this.#layout.mark(version)], guard);
    for await (const keys of this.chunksOf(version, chunks)) await this.#redis.unlinkAll(keys, guard);
    await this.#redis.send(this.#versionsKey, ['HDEL', this.#versionsKey, version], guard);
  }

  /** Deletes the keys of a version without a mark, after `graceMs` if that is not 0, and then forgets it. */
  async remove({ version, chunks }: Entry, graceMs: number): Promise<void> {
    for await (const keys of this.chunksOf(version, chunks)) {
      // It may have been written again meanwhile.
      if (await this.isComplete(version)) return;
      await this.#redis.deleteAll(keys.slice(0, -1), graceMs);
      await this.#redis.deleteAll(keys.slice(-1), graceMs);
    }
    await this.#redis.send(this.#versionsKey, ['HDEL', this.#versionsKey, version]);
  }
}
