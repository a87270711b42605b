import { asBinary } from 'lmdb';
import type { EncodedLists, ListKind } from '../../src/contracts/sink.js';
import type { StoredPublication } from '../../src/publish/sink-steps.js';
import { observed } from '../../src/runtime/serial.js';
import type { Environment } from './environment.js';
import { Gathered } from './gathered.js';
import type { LmdbKeys } from './keys.js';
import type { StoredLease } from './lease.js';

/** Lists that are put before it is asked how much of the file is mapped. */
const putsAtOnce = 64;

/**
 * Puts lists in transactions of many. At most one transaction is under way, `#committed`, whose lists are in `#spare`;
 * those in `#gathered` wait for the next.
 */
export class ListWriter {
  readonly #environment: Environment;
  readonly #keys: LmdbKeys;
  readonly #lease: StoredLease;
  #gathered = new Gathered();
  #spare = new Gathered();
  #committed: Promise<void> = Promise.resolve();

  constructor(environment: Environment, keys: LmdbKeys, lease: StoredLease) {
    this.#environment = environment;
    this.#keys = keys;
    this.#lease = lease;
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
    const environment = this.#environment;
    for (let done = 0; done < from.entries; await environment.narrow()) {
      await this.#lease.change(holder, () => {
        do done = from.each(this.putBinary, done, done + putsAtOnce);
        while (done < from.entries && !environment.isWide);
        if (from.progress && done === from.entries)
          environment.db.putSync(from.progress.key, from.progress.value);
      });
    }
  }

  /** Puts one list in the transaction under way. One function for all: what is compiled with it in place stays. */
  readonly putBinary = (key: Buffer, value: Buffer): void => {
    this.#environment.db.putSync(key, asBinary(value) as never);
  };

  /** Until everything put for `holder` is in the environment, and durable. */
  async flushed(holder: string): Promise<void> {
    if (this.#gathered.length > 0) await this.#commit(holder);
    await this.#done();
    await this.#environment.db.flushed;
  }

  /** Forgets lists that were put and not committed. */
  async drop(): Promise<void> {
    await this.#done().catch(() => undefined);
    this.#gathered.clear();
  }
}
