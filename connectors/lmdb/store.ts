import { createHash } from 'node:crypto';
import { asBinary, open, type RootDatabase } from 'lmdb';
import type { ListKind } from '../../src/connector.js';
import type { Manifest } from '../../src/model/version.js';
import { keyLayout } from '../../src/publish/layout.js';
import type { LmdbOptions } from './options.js';

/** Longest id kept as it is, UTF-8 bytes: with the longest prefix and version its key stays below LMDB's 1978. */
const maxIdBytes = 1024;
/** Keys held in memory, and deleted by one transaction, at a time. */
const keyBatch = 10_000;

/** A list as it is stored. */
export interface StoredList {
  readonly items: readonly string[];
  readonly scores: readonly number[];
}

/** The value of a version's mark. */
export interface StoredManifest extends Manifest {
  readonly lists: Readonly<Record<ListKind, number>>;
}

type Value = StoredList | StoredManifest | string;

/**
 * The keys and values of one prefix of an LMDB environment. Keys are the plain UTF-8 bytes of the layout, so any
 * LMDB reader finds them by name; an id above 1024 bytes is replaced by its SHA-256 under `uh` or `ih`.
 */
export class LmdbStore {
  readonly #db: RootDatabase<Value, Uint8Array>;
  readonly #prefix: string;
  readonly #layout;

  constructor(options: LmdbOptions) {
    // msgpackr's records are an extension of its own: plain maps are what other readers understand.
    const settings = { encoding: options.encoding, keyEncoding: 'binary', useRecords: false } as const;
    this.#db = open<Value, Uint8Array>(options.path, settings);
    this.#prefix = options.prefix;
    this.#layout = keyLayout(options.prefix);
  }

  /** The version the pointer names; throws if its value is not text in the encoding of this store. */
  current(): string | undefined {
    const value = this.#db.get(bytes(this.#layout.current));
    if (value !== undefined && typeof value !== 'string')
      throw new TypeError(`the pointer is a ${typeof value}`);
    return value;
  }

  mark(version: string): StoredManifest | undefined {
    return this.#db.get(bytes(this.#layout.mark(version))) as StoredManifest | undefined;
  }

  list(version: string, kind: ListKind, id: string): StoredList | undefined {
    return this.#db.get(this.#listKey(version, kind, id)) as StoredList | undefined;
  }

  /** Puts lists under `version` in one transaction; resolves once it is committed. */
  async put(version: string, kind: ListKind, lists: Iterable<readonly [string, StoredList]>): Promise<void> {
    await this.#db.batch(() => {
      for (const [id, list] of lists) void this.#db.put(this.#listKey(version, kind, id), list);
    });
  }

  /** Marks `version` complete, first moving the lists of `staged` over its own; one transaction, then durable. */
  async complete(version: string, manifest: StoredManifest, staged: string | undefined): Promise<void> {
    // A child transaction is rolled back whole if anything in it throws.
    await this.#db.childTransaction(() => {
      if (staged !== undefined) this.#replace(version, staged);
      this.#db.putSync(bytes(this.#layout.mark(version)), manifest);
    });
    await this.#db.flushed;
  }

  /** Switches the pointer in one transaction, then makes it durable; false when `version` has no mark. */
  async point(version: string): Promise<boolean> {
    const done = await this.#db.transaction(() => {
      if (!this.#db.doesExist(bytes(this.#layout.mark(version)))) return false;
      this.#db.putSync(bytes(this.#layout.current), version);
      return true;
    });
    await this.#db.flushed;
    return done;
  }

  /** Every version that has a mark or a list, found by skipping from one to the next. */
  versions(): string[] {
    const found = new Set<string>();
    const end = bytes(`${this.#prefix};`);
    let start: Uint8Array = bytes(`${this.#prefix}:`);
    for (;;) {
      const [key] = [...this.#db.getKeys({ start, end, limit: 1 })];
      if (key === undefined) break;
      const text = Buffer.from(key).toString();
      const [version = '', ...rest] = text.slice(this.#prefix.length + 1).split(':');
      if (text !== this.#layout.current) found.add(version);
      // Past all lists of the version (';' follows ':'), or to the key that follows a mark.
      start = bytes(rest.length > 0 ? `${this.#prefix}:${version};` : `${text}\0`);
    }
    return [...found];
  }

  /** Deletes a version: the mark at once, then its lists by key range, so that what a crash leaves has no mark. */
  async discard(version: string): Promise<void> {
    await this.#db.remove(bytes(this.#layout.mark(version)));
    for (const keys of this.#batches(version))
      await this.#db.batch(() => {
        for (const key of keys) void this.#db.remove(key);
      });
  }

  async close(): Promise<void> {
    await this.#db.flushed;
    await this.#db.close();
  }

  /** Inside a transaction: deletes the lists of `version` and renames those of `staged` to it; 10–25 µs a list. */
  #replace(version: string, staged: string): void {
    for (const keys of this.#batches(version)) for (const key of keys) this.#db.removeSync(key);
    const from = bytes(this.#layout.mark(staged)).length;
    const to = bytes(this.#layout.mark(version));
    for (const keys of this.#batches(staged))
      for (const key of keys) {
        this.#db.putSync(
          Buffer.concat([to, key.subarray(from)]),
          asBinary(this.#db.getBinary(key)!) as Value,
        );
        this.#db.removeSync(key);
      }
  }

  /** The keys of a version's lists, a bounded number at a time; the caller deletes them before it asks for more. */
  *#batches(version: string): Generator<readonly Uint8Array[]> {
    const mark = this.#layout.mark(version);
    const range = { start: bytes(`${mark}:`), end: bytes(`${mark};`), limit: keyBatch };
    for (;;) {
      const keys = [...this.#db.getKeys(range)];
      if (keys.length === 0) return;
      yield keys;
    }
  }

  #listKey(version: string, kind: ListKind, id: string): Uint8Array {
    // A UTF-16 unit takes at most 3 bytes of UTF-8, so short ids need no count.
    if (id.length * 3 <= maxIdBytes || Buffer.byteLength(id) <= maxIdBytes)
      return bytes(this.#layout.list(version, kind, id));
    const digest = createHash('sha256').update(id).digest('hex');
    return bytes(`${this.#layout.mark(version)}:${kind === 'users' ? 'uh' : 'ih'}:${digest}`);
  }
}

function bytes(key: string): Buffer {
  return Buffer.from(key);
}
