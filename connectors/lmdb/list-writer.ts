import { statSync } from 'node:fs';
import { asBinary } from 'lmdb';
import type { EncodedLists, ListKind } from '../../src/contracts/sink.js';
import type { StoredPublication } from '../../src/publish/sink-steps.js';
import { observed } from '../../src/runtime/serial.js';
import type { Environment } from './environment.js';
import type { LmdbKeys } from './keys.js';
import type { StoredLease } from './lease.js';
import { SortedSpool } from './sorted-spool.js';

/** Bytes of lists that wait for a transaction at least, and that one puts at most: more pages are mapped behind each of them. */
const transactionBytes = 2 ** 21;
const longestTransaction = 2 ** 23;

/** Bytes of lists that wait and are still put when their publication is given up. */
const putAtTheEnd = 2 ** 27;

/** Lists that wait, and how far their version is with them. */
class Waiting {
  readonly lists: SortedSpool;
  progress: { readonly key: Buffer; readonly value: StoredPublication } | undefined;

  constructor(path: string, runBytes: number) {
    this.lists = new SortedSpool(path, runBytes);
  }

  clear(): void {
    this.lists.clear();
    this.progress = undefined;
  }
}

/**
 * Puts lists by key, in transactions of many. As long as the whole file may be mapped, a transaction puts what has come
 * since the one before. Lists touch pages all over a larger file, so there all wait, and are put by ascending key: each
 * page is touched once, and few of them are mapped. What is under way is `#committed`, and its lists are in `#spare`.
 */
export class ListWriter {
  readonly #environment: Environment;
  readonly #keys: LmdbKeys;
  readonly #lease: StoredLease;
  readonly #mappedBytes: number;
  #waiting: Waiting;
  #spare: Waiting;
  #committed: Promise<void> = Promise.resolve();

  /** The file may be mapped up to `mappedBytes`; twice `runBytes` of lists wait in memory. */
  constructor(
    environment: Environment,
    keys: LmdbKeys,
    lease: StoredLease,
    { mappedBytes, runBytes }: { readonly mappedBytes: number; readonly runBytes: number },
  ) {
    this.#environment = environment;
    this.#keys = keys;
    this.#lease = lease;
    this.#mappedBytes = mappedBytes;
    const waiting = () => new Waiting(environment.scratch, runBytes);
    [this.#waiting, this.#spare] = [waiting(), waiting()];
  }

  /**
   * Stores the lists in the rows `rows`, and how far the version is then. One transaction is committed while the lists of
   * the next come, so what `put` throws may be about lists before; `flushed` waits for all.
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
    const to = this.#waiting;
    for (const r of rows)
      to.lists.add(this.#keys.text(version, kind, ids[r]!), values.subarray(offsets[r], offsets[r + 1]));
    if (progress) to.progress = { key: this.#keys.progress(version), value: progress };
    if (to.lists.bytes >= transactionBytes && statSync(this.#environment.file).size < this.#mappedBytes)
      await this.#commit(holder);
  }

  /** Begins to put what waits when the lists before are committed. */
  async #commit(holder: string): Promise<void> {
    await this.#done();
    const from = this.#waiting;
    [this.#waiting, this.#spare] = [this.#spare, from];
    this.#committed = observed(this.#write(holder, from).finally(() => from.clear()));
  }

  /** Waits for the lists under way; what went wrong is thrown once. */
  async #done(): Promise<void> {
    const committed = this.#committed;
    this.#committed = Promise.resolve();
    await committed;
  }

  async #write(holder: string, { lists, progress }: Waiting): Promise<void> {
    const entries = lists.sorted();
    for (let next = entries.next(); !next.done; ) {
      await this.#lease.change(holder, () => {
        for (let put = 0; !next.done && put < longestTransaction; next = entries.next()) {
          const [key, value] = next.value;
          this.putBinary(key, value);
          put += value.length;
        }
        if (next.done && progress) this.#environment.db.putSync(progress.key, progress.value);
      });
    }
  }

  /** Puts one list in the transaction under way. One function for all: what is compiled with it in place stays. */
  readonly putBinary = (key: Buffer, value: Buffer): void => {
    this.#environment.db.putSync(key, asBinary(value) as never);
  };

  /** Until everything put for `holder` is in the environment, and durable. */
  async flushed(holder: string): Promise<void> {
    if (this.#waiting.lists.entries > 0) await this.#commit(holder);
    await this.#done();
    await this.#environment.db.flushed;
  }

  /** Keeps what was put for `holder`, for who goes on with the version, unless that takes long. */
  async leave(holder: string): Promise<void> {
    if (this.#waiting.lists.bytes > putAtTheEnd) this.#waiting.clear();
    await this.flushed(holder).catch(() => this.drop());
  }

  /** Forgets lists that were put and not committed. */
  async drop(): Promise<void> {
    await this.#done().catch(() => undefined);
    this.#waiting.clear();
  }
}
