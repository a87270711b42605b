import { asBinary, open, type RootDatabase } from 'lmdb';
import { champion, type EncodedLists, type ListKind } from '../../src/contracts/sink.js';
import {
  leaseLost,
  notComplete,
  Refusal,
  type StoredPublication,
  unexpected,
} from '../../src/publish/sink-steps.js';
import { observed } from '../../src/runtime/serial.js';
import { Gathered } from './gathered.js';
import { bytes, lmdbKeys } from './keys.js';
import type { LmdbOptions } from './options.js';

/** Keys held in memory, and deleted by one transaction, at a time. */
const keyBatch = 10_000;

/** Bytes put before the environment is mapped anew: a page of the map counts as memory from when it was touched. */
const mappedBytes = 2 ** 24;

interface Lease {
  readonly owner: string;
  /** Epoch ms. */
  readonly until: number;
}

/** Of a version's mark and the progress of one that is not complete, of the lease, of a pointer. */
type Value = StoredPublication | Lease | string;

/** The keys and values of one prefix of an LMDB environment: see `lmdbKeys`. */
export class LmdbStore {
  #db: RootDatabase<Value, Uint8Array>;
  readonly #open: () => RootDatabase<Value, Uint8Array>;
  /** Since the environment was opened. */
  #putBytes = 0;
  readonly #keys;
  /** Lists that wait for more, and where the next ones go meanwhile. */
  #gathered = new Gathered();
  #spare = new Gathered();
  #committed: Promise<void> = Promise.resolve();

  constructor(options: LmdbOptions) {
    // msgpackr's records are an extension of its own: plain maps are what other readers understand.
    const settings = { encoding: options.encoding, keyEncoding: 'binary', useRecords: false } as const;
    this.#open = () => open<Value, Uint8Array>(options.path, settings);
    this.#db = this.#open();
    this.#keys = lmdbKeys(options.prefix);
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
   * Stores the lists in the rows `rows`, and how far the version is then, in one transaction with others that come before
   * and after: small ones rewrite the same pages again and again. One transaction is committed while the next is gathered,
   * so what `put` throws may be about lists before; `flushed` waits for all.
   */
  async put(
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
    if (to.full) await this.#commit();
  }

  /** Begins to commit what is gathered when the transaction before is done. */
  async #commit(): Promise<void> {
    await this.#done();
    if (this.#putBytes > mappedBytes) await this.#remap();
    const from = this.#gathered;
    [this.#gathered, this.#spare] = [this.#spare, from];
    this.#committed = observed(this.#write(from).finally(() => from.clear()));
  }

  /** Waits for the transaction under way; what went wrong is thrown once. */
  async #done(): Promise<void> {
    const committed = this.#committed;
    this.#committed = Promise.resolve();
    await committed;
  }

  async #write(from: Gathered): Promise<void> {
    await this.#db.batch(() => {
      from.each(this.#putBinary);
      if (from.progress) void this.#db.put(from.progress.key, from.progress.value);
    });
    this.#putBytes += from.length;
  }

  /** One function for all transactions: what is compiled with it in place stays. */
  readonly #putBinary = (key: Buffer, value: Buffer): void => {
    void this.#db.put(key, asBinary(value) as never);
  };

  /** Until everything put is in the environment. */
  async #settled(): Promise<void> {
    if (this.#gathered.length > 0) await this.#commit();
    await this.#done();
  }

  async #remap(): Promise<void> {
    await this.#db.flushed;
    await this.#db.close();
    this.#db = this.#open();
    this.#putBytes = 0;
  }

  async remove(version: string, kind: ListKind, ids: readonly string[]): Promise<void> {
    await this.#settled();
    await this.#db.batch(() => {
      for (const id of ids) void this.#db.remove(this.#keys.list(version, kind, id));
    });
  }

  /** Marks `version` complete in one transaction, in which `owner` must have the lease; then durable. */
  async complete(version: string, manifest: StoredPublication, owner: string): Promise<void> {
    const done = await this.#db.transaction(() => {
      if (this.#lease()?.owner !== owner) return false;
      this.#db.putSync(this.#keys.mark(version), manifest);
      this.#db.removeSync(this.#keys.progress(version));
      return true;
    });
    if (!done) throw leaseLost();
    await this.#db.flushed;
  }

  async setMark(version: string, manifest: StoredPublication): Promise<void> {
    await this.#db.put(this.#keys.mark(version), manifest);
    await this.#db.flushed;
  }

  /** Switches a pointer to a version with a mark in one transaction, then makes it durable; see `Sink.point`. */
  async point(alias: string, version: string, expected: string | null | undefined): Promise<void> {
    const refusal = await this.#db.transaction(() => {
      if (!this.#db.doesExist(this.#keys.mark(version))) return notComplete(version);
      const refusal = unexpected(alias, this.current(alias), version, expected);
      if (refusal === undefined) this.#db.putSync(this.#keys.pointer(alias), version);
      return refusal;
    });
    if (refusal) throw refusal;
    await this.#db.flushed;
  }

  /** Takes the lease; returns the owner that has it, if that is another. */
  takeLease(owner: string, leaseMs: number): Promise<string | undefined> {
    return this.#db.transaction(() => {
      const lease = this.#lease();
      if (lease && lease.owner !== owner && lease.until > Date.now()) return lease.owner;
      this.#db.putSync(this.#keys.lease, { owner, until: Date.now() + leaseMs });
      return undefined;
    });
  }

  /** Makes the lease last longer; false when somebody else has it. */
  renewLease(owner: string, leaseMs: number): Promise<boolean> {
    return this.#db.transaction(() => {
      if (this.#lease()?.owner !== owner) return false;
      this.#db.putSync(this.#keys.lease, { owner, until: Date.now() + leaseMs });
      return true;
    });
  }

  async releaseLease(owner: string): Promise<void> {
    await this.#db.transaction(() => {
      if (this.#lease()?.owner === owner) this.#db.removeSync(this.#keys.lease);
    });
  }

  #lease(): Lease | undefined {
    return this.#db.get(this.#keys.lease) as Lease | undefined;
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

  /** Deletes a version: the mark at once, then its lists by key range, so that what a crash leaves has no mark. */
  async discard(version: string): Promise<void> {
    await this.#db.remove(this.#keys.mark(version));
    const range = { ...this.#keys.lists(version), limit: keyBatch };
    for (;;) {
      const keys = [...this.#db.getKeys(range)];
      if (keys.length === 0) return;
      await this.#db.batch(() => {
        for (const key of keys) void this.#db.remove(key);
      });
    }
  }

  /** Deletes the lists of `version` whose id `keep` does not keep; hashed ids are asked for by their digest. */
  async sweep(version: string, keep: (key: string) => boolean): Promise<void> {
    const { start: first, end } = this.#keys.lists(version);
    for (let start = first; ; ) {
      const keys = [...this.#db.getKeys({ start, end, limit: keyBatch })];
      if (keys.length === 0) return;
      const gone = keys.filter(key => !keep(this.#keys.suffix(version, Buffer.from(key).toString())));
      await this.#db.batch(() => {
        for (const key of gone) void this.#db.remove(key);
      });
      start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
    }
  }

  /** The part of a list's key behind its version. */
  suffix(version: string, kind: ListKind, id: string): string {
    return this.#keys.suffix(version, this.#keys.text(version, kind, id));
  }

  /** Waits until everything is durable. */
  async flushed(): Promise<void> {
    await this.#settled();
    await this.#db.flushed;
  }

  async close(): Promise<void> {
    await this.flushed().catch(() => undefined);
    await this.#db.close();
  }
}
