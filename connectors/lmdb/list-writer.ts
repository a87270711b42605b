import { asBinary } from 'lmdb';
import type { EncodedLists, ListKind } from '../../src/contracts/sink.js';
import type { StoredPublication } from '../../src/publish/sink-steps.js';
import { observed } from '../../src/runtime/serial.js';
import type { Environment } from './environment.js';
import { Gathered, transactionBytes } from './gathered.js';
import type { LmdbKeys } from './keys.js';
import type { StoredLease } from './lease.js';

/** Lists that are put before it is asked how much of the file is mapped. */
const putsAtOnce = 64;

/** Bytes of lists that a turn has at most: those that are lost when the process dies. */
const longestTurn = 2 ** 27;

/**
 * Puts lists by key, in transactions of many. What is under way is `#committed`, and its lists are in `#spare`; those in
 * `#gathered` wait for the next turn. While the lists fit into the part of the file that may be mapped, a turn is one
 * transaction. Then a list touches pages that are not mapped, and each turn is a quarter of all lists before it: in the
 * order of the keys, several of them lie in the same pages.
 */
export class ListWriter {
  readonly #environment: Environment;
  readonly #keys: LmdbKeys;
  readonly #lease: StoredLease;
  /** Bytes of lists that may be mapped, and of the keys of one turn. */
  readonly #mappedBytes: number;
  readonly #keyBytes: number;
  #gathered: Gathered;
  #spare: Gathered;
  #committed: Promise<void> = Promise.resolve();
  /** Bytes of lists in the turns that have begun, and of those put by the transaction under way. */
  #begun = 0;
  #put = 0;

  constructor(environment: Environment, keys: LmdbKeys, lease: StoredLease, mostKeyBytes: number) {
    this.#environment = environment;
    this.#keys = keys;
    this.#lease = lease;
    this.#mappedBytes = environment.mappedBytes;
    this.#keyBytes = mostKeyBytes;
    this.#gathered = new Gathered(environment.scratch);
    this.#spare = new Gathered(environment.scratch);
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
    const turn = this.#begun < this.#mappedBytes ? 0 : Math.min(longestTurn, this.#begun / 4);
    if (to.length >= Math.max(transactionBytes, turn) || to.keyBytes >= this.#keyBytes)
      await this.#commit(holder);
  }

  /** Begins to commit what is gathered when the transaction before is done. */
  async #commit(holder: string): Promise<void> {
    await this.#done();
    const from = this.#gathered;
    [this.#gathered, this.#spare] = [this.#spare, from];
    this.#begun += from.length;
    this.#committed = observed(this.#write(holder, from).finally(() => from.clear()));
  }

  /** Waits for the transaction under way; what went wrong is thrown once. */
  async #done(): Promise<void> {
    const committed = this.#committed;
    this.#committed = Promise.resolve();
    await committed;
  }

  async #write(holder: string, from: Gathered): Promise<void> {
    const environment = this.#environment;
    for (let done = 0; done < from.entries; await environment.narrow()) {
      await this.#lease.change(holder, () => {
        this.#put = 0;
        do done = from.each(this.putBinary, done, done + putsAtOnce);
        while (done < from.entries && this.#put < transactionBytes && !environment.isWide);
        if (from.progress && done === from.entries)
          environment.db.putSync(from.progress.key, from.progress.value);
      });
    }
  }

  /** Puts one list in the transaction under way. One function for all: what is compiled with it in place stays. */
  readonly putBinary = (key: Buffer, value: Buffer): void => {
    this.#put += value.length;
    this.#environment.db.putSync(key, asBinary(value) as never);
  };

  /** Until everything put for `holder` is in the environment, and durable. */
  async flushed(holder: string): Promise<void> {
    if (this.#gathered.entries > 0) await this.#commit(holder);
    await this.#done();
    await this.#environment.db.flushed;
  }

  /** Forgets lists that were put and not committed. */
  async drop(): Promise<void> {
    await this.#done().catch(() => undefined);
    this.#gathered.clear();
    this.#begun = 0;
  }
}
