import { isDeepStrictEqual } from 'node:util';
import { champion, type EncodedLists, type ListKind } from '../../src/contracts/sink.js';
import type { Access, ListCounts, Move } from '../../src/publish/list-store.js';
import {
  leaseLost,
  listsMissing,
  notComplete,
  Refusal,
  type StoredPublication,
  unexpected,
} from '../../src/publish/sink-steps.js';
import { countKeys } from './counting.js';
import { Environment } from './environment.js';
import { bytes, type LmdbKeys, lmdbKeys } from './keys.js';
import { StoredLease } from './lease.js';
import { ListWriter } from './list-writer.js';
import type { LmdbOptions } from './options.js';

/** Keys held in memory, and deleted by one transaction, at a time. */
const keyBatch = 10_000;

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
  readonly lease: StoredLease;
  /** Puts the lists of a version that is being written. */
  readonly writer: ListWriter;
  readonly #environment: Environment;
  readonly #keys: LmdbKeys;
  /** Bytes of the file that may be mapped. */
  readonly #mappedBytes: number;

  /** A quarter of `memoryBytes` is for pages that are mapped, and half of it for lists that wait. */
  constructor(options: LmdbOptions, memoryBytes: number, access: Access) {
    this.#environment = new Environment(options, access);
    this.#keys = lmdbKeys(options.prefix);
    this.#mappedBytes = Math.floor(memoryBytes / 4);
    this.lease = new StoredLease(this.#environment, this.#keys.lease, options.leaseMs);
    const room = { mappedBytes: this.#mappedBytes, runBytes: Math.floor(memoryBytes / 4) };
    this.writer = new ListWriter(this.#environment, this.#keys, this.lease, room);
  }

  get #db(): Environment['db'] {
    return this.#environment.db;
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
   * Marks `version` complete in one transaction, if all its lists are there; then durable. They are counted before it,
   * because that touches every page of them. The count still holds inside: lists without a mark are deleted by whoever
   * has the lease, `holder` is one attempt, which never gets it back once it was lost, and the transaction looks at it.
   */
  async complete(version: string, manifest: StoredPublication, holder: string): Promise<void> {
    const missing = await this.#missing(version, manifest.lists);
    await this.lease.change(holder, () => {
      if (missing) return missing;
      this.#db.putSync(this.#keys.mark(version), manifest);
      this.#db.removeSync(this.#keys.progress(version));
      return undefined;
    });
    await this.#db.flushed;
  }

  /** Why `version` has not `lists`. */
  async #missing(version: string, lists: ListCounts): Promise<Refusal | undefined> {
    for (const kind of ['users', 'items'] as const) {
      const found = await countKeys(this.#environment, this.#mappedBytes, this.#keys.kind(version, kind));
      if (found < lists[kind]) return listsMissing(version, kind, found, lists[kind]);
    }
    return undefined;
  }

  /**
   * Switches a pointer to a version with a mark in one transaction, then makes it durable. The lists are counted before
   * it, also right behind `complete`: a mark tells what publishers did, and not what others do to the file. While they are
   * counted, publishers make them fewer only with the mark; then they are counted again.
   */
  async point(move: Move): Promise<void> {
    for (let moved = false; !moved; ) {
      const counted = this.mark(move.version);
      const missing = counted && (await this.#missing(move.version, counted.lists));
      moved = await this.#environment.change(() => this.#point(move, counted, missing));
    }
    await this.#db.flushed;
  }

  /** Within a transaction: false when the mark is not the one whose lists were counted. */
  #point(
    { alias, version, expected, holder }: Move,
    counted: StoredPublication | undefined,
    missing: Refusal | undefined,
  ): boolean | Refusal {
    if (holder !== undefined && !this.lease.holds(holder)) return leaseLost();
    const mark = this.mark(version);
    if (!mark) return notComplete(version);
    const refusal = unexpected(alias, this.current(alias), version, expected);
    if (refusal) return refusal;
    if (!isDeepStrictEqual(mark, counted)) return false;
    if (missing) return missing;
    this.#db.putSync(this.#keys.pointer(alias), version);
    return true;
  }

  /** Changes lists of a complete version, and its mark with them, in one transaction; then durable. */
  async amend(version: string, { kind, lists, gone, change }: Changes): Promise<void> {
    await this.#environment.change(() => {
      const mark = this.mark(version);
      if (!mark) return notComplete(version);
      let count = mark.lists[kind];
      for (const [r, id] of lists.ids.entries()) {
        const key = this.#keys.list(version, kind, id);
        if (!this.#db.doesExist(key)) count++;
        const value = lists.bytes.subarray(lists.offsets[r], lists.offsets[r + 1]);
        // LMDB's addon takes no shared memory.
        this.writer.putBinary(key, Buffer.from(value));
      }
      for (const id of gone) if (this.#db.removeSync(this.#keys.list(version, kind, id))) count--;
      const amended = { ...mark, lists: { ...mark.lists, [kind]: count } };
      this.#db.putSync(this.#keys.mark(version), change === undefined ? amended : { ...amended, change });
      return undefined;
    });
    await this.#db.flushed;
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
    await this.#deleteLists(version, () => this.lease.holds(holder) && this.mark(version) === undefined);
  }

  /** Deletes a complete version unless an alias names it: the mark at once, then its lists. */
  async retire(version: string): Promise<void> {
    const unmarked = await this.#environment.change(() => {
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
      more = await this.#environment.change(() => {
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
      await this.lease.change(holder, () => {
        for (const key of gone) this.#db.removeSync(key);
      });
      start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
    }
  }

  /** The lists of a version by key, some at a time. */
  async *lists(version: string, kind: ListKind): AsyncGenerator<(readonly [Buffer, Buffer])[]> {
    for (const { start: first, end } of this.#keys.kind(version, kind)) {
      for (let start: Buffer = first; ; ) {
        const keys = [...this.#db.getKeys({ start, end, limit: keyBatch })].map(key => Buffer.from(key));
        if (keys.length === 0) break;
        yield keys.map(key => [key, this.#db.getBinary(key)!] as const);
        start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
      }
    }
  }

  /** Overwrites lists of a complete version, by key, in one transaction. */
  async overwrite(version: string, lists: readonly (readonly [Buffer, Buffer])[]): Promise<void> {
    await this.#environment.change(() => {
      if (!this.mark(version)) return notComplete(version);
      for (const [key, value] of lists) this.writer.putBinary(key, value);
      return undefined;
    });
    await this.#db.flushed;
  }

  /** Writes what there is into a new file: see `Environment.leaveFreePages`. */
  leaveFreePages(): Promise<string[]> {
    return this.#environment.leaveFreePages();
  }

  /** The part of a list's key behind its version. */
  suffix(version: string, kind: ListKind, id: string): string {
    return this.#keys.suffix(version, this.#keys.text(version, kind, id));
  }

  async close(): Promise<void> {
    await this.writer.drop();
    await this.#environment.close();
  }
}
