import { asBinary, open, type RootDatabase } from 'lmdb';
import { champion, type EncodedLists, type ListKind } from '../../src/contracts/sink.js';
import { mayFollow } from '../../src/publish/lease.js';
import type { ListCounts, Move } from '../../src/publish/list-store.js';
import {
  leaseLost,
  listsMissing,
  notComplete,
  Refusal,
  type StoredPublication,
  unexpected,
} from '../../src/publish/sink-steps.js';
import { observed } from '../../src/runtime/serial.js';
import { Gathered } from './gathered.js';
import { bytes, lmdbKeys } from './keys.js';
import type { LmdbOptions } from './options.js';
import { rewriteEnvironment } from './rewrite.js';
import { fileOf, noteSound } from './sound.js';

/** Keys held in memory, and deleted by one transaction, at a time. */
const keyBatch = 10_000;

/** Bytes put before the environment is mapped anew: a page of the map counts as memory from when it was touched. */
const mappedBytes = 2 ** 24;

interface Lease {
  /** The holder. */
  readonly owner: string;
  /** Epoch ms. */
  readonly until: number;
}

/** Of a version's mark and the progress of one that is not complete, of the lease, of a pointer. */
type Value = StoredPublication | Lease | string;

/** Lists that change in a complete version. */
export interface Changes {
  readonly kind: ListKind;
  readonly lists: EncodedLists;
  /** Ids whose lists go. */
  readonly gone: readonly string[];
  readonly change?: number | undefined;
}

/**
 * The keys and values of one prefix of an LMDB environment: see `lmdbKeys`. Everything changes in transactions that
 * look first whether they still may: whoever stood still meanwhile changes nothing.
 */
export class LmdbStore {
  #db: RootDatabase<Value, Uint8Array>;
  readonly #open: () => RootDatabase<Value, Uint8Array>;
  /** Since the environment was opened. */
  #putBytes = 0;
  readonly #keys;
  readonly #leaseMs: number;
  readonly #path: string;
  /** Lists that wait for more, and where the next ones go meanwhile. */
  #gathered = new Gathered();
  #spare = new Gathered();
  #committed: Promise<void> = Promise.resolve();

  constructor(options: LmdbOptions) {
    // msgpackr's records are an extension of its own: plain maps are what other readers understand.
    // With eventTurnBatching, the client makes a promise of its own for each commit, and nobody catches its rejection.
    const settings = {
      encoding: options.encoding,
      keyEncoding: 'binary',
      useRecords: false,
      eventTurnBatching: false,
    } as const;
    this.#open = () => open<Value, Uint8Array>(options.path, settings);
    this.#db = this.#open();
    this.#keys = lmdbKeys(options.prefix);
    this.#leaseMs = options.leaseMs;
    this.#path = options.path;
  }

  /** The version that an alias names; throws if its value is not in the encoding of this store. */
  current(alias?: string): string | undefined {
    const value = this.#db.get(this.#keys.pointer(alias));
    if (value !== undefined && typeof value !== 'string')
      throw new Refusal('the pointer is no text: set `encoding` to what the lists were written in');
    return value;
  }

  /** Every alias with its version. */
  pointers(): Map<string, string> {
    const found = new Map<string, string>();
    const add = (alias: string): void => {
      const version = this.current(alias);
      if (version !== undefined) found.set(alias, version);
    };
    add(champion);
    const start = `${this.#keys.pointer(champion)}:`;
    for (const key of this.#db.getKeys({ start: bytes(start), end: bytes(`${start}~`) }))
      add(Buffer.from(key).toString().slice(start.length));
    return found;
  }

  mark(version: string): StoredPublication | undefined {
    return this.#db.get(this.#keys.mark(version)) as StoredPublication | undefined;
  }

  /** How far an incomplete version is. */
  progress(version: string): StoredPublication | undefined {
    return this.#db.get(this.#keys.progress(version)) as StoredPublication | undefined;
  }

  bytesOf(version: string, kind: ListKind, id: string): Buffer | undefined {
    return this.#db.getBinary(this.#keys.list(version, kind, id));
  }

  /**
   * Runs `body` in one transaction, alone among all processes, and throws what it returns if that is a refusal. The
   * client reports a commit that failed by two promises, of which only one is awaited here.
   */
  async #change<T>(body: () => T | Refusal): Promise<T> {
    let result: T | Refusal;
    try {
      result = await this.#db.transaction(body);
    } catch (error) {
      const { commitError } = error as { commitError?: Promise<unknown> };
      if (commitError === undefined) throw error;
      commitError.catch(() => undefined);
      throw new Refusal('the disk took nothing of what was written; it may be full');
    }
    if (result instanceof Refusal) throw result;
    return result;
  }

  /** As `#change`, by the holder of the lease alone. */
  #changeHeld<T>(holder: string, body: () => T | Refusal): Promise<T> {
    return this.#change(() => (this.#holds(holder) ? body() : leaseLost()));
  }

  /**
   * Stores the lists in the rows `rows`, and how far the version is then, in one transaction with others that come before
   * and after: small ones rewrite the same pages again and again. One transaction is committed while the next is gathered,
   * so what `put` throws may be about lists before; `flushed` waits for all.
   */
  async put(
    holder: string,
    version: string,
    kind: ListKind,
    lists: EncodedLists,
    rows: Iterable<number>,
    progress?: StoredPublication,
  ): Promise<void> {
    const { bytes: values, ids, offsets } = lists;
    const to = this.#gathered;
    const at = to.take(values);
    for (const r of rows)
      to.add(this.#keys.text(version, kind, ids[r]!), at + offsets[r]!, at + offsets[r + 1]!);
    if (progress) to.progress = { key: this.#keys.progress(version), value: progress };
    if (to.full) await this.#commit(holder);
  }

  /** Begins to commit what is gathered when the transaction before is done. */
  async #commit(holder: string): Promise<void> {
    await this.#done();
    if (this.#putBytes > mappedBytes) await this.#remap();
    const from = this.#gathered;
    [this.#gathered, this.#spare] = [this.#spare, from];
    this.#committed = observed(this.#write(holder, from).finally(() => from.clear()));
  }

  /** Waits for the transaction under way; what went wrong is thrown once. */
  async #done(): Promise<void> {
    const committed = this.#committed;
    this.#committed = Promise.resolve();
    await committed;
  }

  async #write(holder: string, from: Gathered): Promise<void> {
    await this.#changeHeld(holder, () => {
      from.each(this.#putBinary);
      if (from.progress) this.#db.putSync(from.progress.key, from.progress.value);
    });
    this.#putBytes += from.length;
  }

  /** One function for all transactions: what is compiled with it in place stays. */
  readonly #putBinary = (key: Buffer, value: Buffer): void => {
    this.#db.putSync(key, asBinary(value) as never);
  };

  async #remap(): Promise<void> {
    await this.#db.flushed;
    await this.#db.close();
    this.#db = this.#open();
    this.#putBytes = 0;
  }

  /** Until everything put for `holder` is in the environment, and durable. */
  async flushed(holder: string): Promise<void> {
    if (this.#gathered.length > 0) await this.#commit(holder);
    await this.#done();
    await this.#db.flushed;
  }

  /** Forgets lists that were put and not committed. */
  async dropGathered(): Promise<void> {
    await this.#done().catch(() => undefined);
    this.#gathered.clear();
  }

  /** Marks `version` complete in one transaction, if all its lists are there; then durable. */
  async complete(version: string, manifest: StoredPublication, holder: string): Promise<void> {
    await this.#changeHeld(holder, () => {
      const missing = this.#missing(version, manifest.lists);
      if (missing) return missing;
      this.#db.putSync(this.#keys.mark(version), manifest);
      this.#db.removeSync(this.#keys.progress(version));
      return undefined;
    });
    await this.#db.flushed;
  }

  /** Why `version` has not `lists`. */
  #missing(version: string, lists: ListCounts): Refusal | undefined {
    for (const kind of ['users', 'items'] as const) {
      const ranges = this.#keys.kind(version, kind);
      const found = ranges.reduce((sum, range) => sum + this.#db.getKeysCount(range), 0);
      if (found < lists[kind]) return listsMissing(version, kind, found, lists[kind]);
    }
    return undefined;
  }

  /** Switches a pointer to a version with a mark in one transaction, then makes it durable. */
  async point({ alias, version, expected, holder }: Move): Promise<void> {
    await this.#change(() => {
      if (holder !== undefined && !this.#holds(holder)) return leaseLost();
      const mark = this.mark(version);
      const refusal = mark
        ? (unexpected(alias, this.current(alias), version, expected) ?? this.#missing(version, mark.lists))
        : notComplete(version);
      if (refusal === undefined) this.#db.putSync(this.#keys.pointer(alias), version);
      return refusal;
    });
    await this.#db.flushed;
  }

  /** Changes lists of a complete version, and its mark with them, in one transaction; then durable. */
  async amend(version: string, { kind, lists, gone, change }: Changes): Promise<void> {
    await this.#change(() => {
      const mark = this.mark(version);
      if (!mark) return notComplete(version);
      let count = mark.lists[kind];
      for (const [r, id] of lists.ids.entries()) {
        const key = this.#keys.list(version, kind, id);
        if (!this.#db.doesExist(key)) count++;
        const value = lists.bytes.subarray(lists.offsets[r], lists.offsets[r + 1]);
        // LMDB's addon takes no shared memory.
        this.#putBinary(key, Buffer.from(value));
      }
      for (const id of gone) if (this.#db.removeSync(this.#keys.list(version, kind, id))) count--;
      const amended = { ...mark, lists: { ...mark.lists, [kind]: count } };
      this.#db.putSync(this.#keys.mark(version), change === undefined ? amended : { ...amended, change });
      return undefined;
    });
    await this.#db.flushed;
  }

  /** Takes the lease; returns the holder that has it, if that is another. */
  takeLease(holder: string): Promise<string | undefined> {
    return this.#change(() => {
      const lease = this.#lease();
      if (lease && lease.until > Date.now() && !mayFollow(lease.owner, holder)) return lease.owner;
      this.#putLease(holder);
      return undefined;
    });
  }

  /** Makes the lease last longer; false when `holder` does not have it. */
  renewLease(holder: string): Promise<boolean> {
    return this.#change(() => {
      if (!this.#holds(holder)) return false;
      this.#putLease(holder);
      return true;
    });
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#change(() => {
      if (this.#lease()?.owner === holder) this.#db.removeSync(this.#keys.lease);
    });
  }

  #putLease(holder: string): void {
    this.#db.putSync(this.#keys.lease, { owner: holder, until: Date.now() + this.#leaseMs });
  }

  #lease(): Lease | undefined {
    return this.#db.get(this.#keys.lease) as Lease | undefined;
  }

  #holds(holder: string): boolean {
    const lease = this.#lease();
    return lease?.owner === holder && lease.until > Date.now();
  }

  /** Every version that has a mark or a list, found by skipping from one to the next. */
  versions(): string[] {
    const { prefix } = this.#keys;
    const found = new Set<string>();
    const end = bytes(`${prefix};`);
    let start: Uint8Array = bytes(`${prefix}:`);
    for (;;) {
      const [key] = [...this.#db.getKeys({ start, end, limit: 1 })];
      if (key === undefined) break;
      const text = Buffer.from(key).toString();
      const [version = '', ...rest] = text.slice(prefix.length + 1).split(':');
      if (version !== 'current' && version !== 'lease') found.add(version);
      // Past all lists of the version (';' follows ':'), or to the key that follows a mark.
      start = bytes(rest.length > 0 ? `${prefix}:${version};` : `${text}\0`);
    }
    return [...found];
  }

  /** Deletes what there is of a version that was not completed, by the holder of the lease. */
  async discard(version: string, holder: string): Promise<void> {
    await this.#deleteLists(version, () => this.#holds(holder) && this.mark(version) === undefined);
  }

  /** Deletes a complete version unless an alias names it: the mark at once, then its lists. */
  async retire(version: string): Promise<void> {
    const unmarked = await this.#change(() => {
      if ([...this.pointers().values()].includes(version)) return false;
      return this.#db.removeSync(this.#keys.mark(version));
    });
    // It may be written again meanwhile.
    const stays = () => this.mark(version) === undefined && this.progress(version) === undefined;
    if (unmarked) await this.#deleteLists(version, stays);
  }

  /** Deletes the lists of a version by key range, as long as `may` allows it. */
  async #deleteLists(version: string, may: () => boolean): Promise<void> {
    const range = { ...this.#keys.lists(version), limit: keyBatch };
    for (let more = true; more; ) {
      more = await this.#change(() => {
        if (!may()) return false;
        const keys = [...this.#db.getKeys(range)];
        for (const key of keys) this.#db.removeSync(key);
        return keys.length > 0;
      });
    }
  }

  /** Deletes the lists of `version` whose id `keep` does not keep; hashed ids are asked for by their digest. */
  async sweep(version: string, holder: string, keep: (key: string) => boolean): Promise<void> {
    const { start: first, end } = this.#keys.lists(version);
    for (let start = first; ; ) {
      const keys = [...this.#db.getKeys({ start, end, limit: keyBatch })];
      if (keys.length === 0) return;
      const gone = keys.filter(key => !keep(this.#keys.suffix(version, Buffer.from(key).toString())));
      await this.#changeHeld(holder, () => {
        for (const key of gone) this.#db.removeSync(key);
      });
      start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
    }
  }

  /** The lists of a version by id, some at a time; without those whose id is hashed. */
  async *lists(version: string, kind: ListKind): AsyncGenerator<(readonly [string, Buffer])[]> {
    const { start: first, end } = this.#keys.kind(version, kind)[0]!;
    for (let start: Buffer = first; ; ) {
      const keys = [...this.#db.getKeys({ start, end, limit: keyBatch })].map(key => Buffer.from(key));
      if (keys.length === 0) return;
      yield keys.map(key => [key.subarray(first.length).toString(), this.#db.getBinary(key)!] as const);
      start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
    }
  }

  /**
   * Writes what there is into a new file: deleted keys stay in free pages and between pages. Not while another process
   * reads, because it would never see the new file; returns what remains then.
   */
  async leaveFreePages(): Promise<string[]> {
    this.#db.readerCheck();
    const others = [...this.#db.readerList().matchAll(/^ *(\d+) /gm)].map(m => Number(m[1]));
    const pids = [...new Set(others)].filter(pid => pid !== process.pid);
    if (pids.length > 0)
      return [
        `free pages of ${fileOf(this.#path)} may have the id, because processes read it (${pids.join(', ')}): forget again when they have closed it`,
      ];
    await this.#db.flushed;
    await rewriteEnvironment(this.#db, this.#path);
    this.#db = this.#open();
    return [];
  }

  /** The part of a list's key behind its version. */
  suffix(version: string, kind: ListKind, id: string): string {
    return this.#keys.suffix(version, this.#keys.text(version, kind, id));
  }

  async close(): Promise<void> {
    await this.dropGathered();
    await this.#db.close();
    noteSound(this.#path);
  }
}
