import { hasDied, mayFollow } from '../../src/publish/lease.js';
import { leaseLost, type Refusal } from '../../src/publish/sink-steps.js';
import type { Environment, Lease } from './environment.js';

/** The lease of one prefix, under the key `key`. It changes, and is looked at, in the transaction that it guards. */
export class StoredLease {
  readonly #environment: Environment;
  readonly #key: Buffer;
  readonly #leaseMs: number;

  constructor(environment: Environment, key: Buffer, leaseMs: number) {
    this.#environment = environment;
    this.#key = key;
    this.#leaseMs = leaseMs;
  }

  /** Removes the lease of a process of `owner` that has died. */
  async tidy(owner?: string): Promise<void> {
    const lease = this.#found();
    if (lease && hasDied(lease.owner, owner)) await this.release(lease.owner);
  }

  /** Takes the lease; returns the holder that has it, if that is another. */
  take(holder: string): Promise<string | undefined> {
    return this.#environment.change(() => {
      const lease = this.#found();
      if (lease && lease.until > Date.now() && !mayFollow(lease.owner, holder)) return lease.owner;
      this.#put(holder);
      return undefined;
    });
  }

  /** Makes the lease last longer; false when `holder` does not have it. */
  renew(holder: string): Promise<boolean> {
    return this.#environment.change(() => {
      if (!this.holds(holder)) return false;
      this.#put(holder);
      return true;
    });
  }

  async release(holder: string): Promise<void> {
    await this.#environment.change(() => {
      if (this.#found()?.owner === holder) this.#environment.db.removeSync(this.#key);
    });
  }

  /** As `Environment.change`, by the holder of the lease alone. */
  change<T>(holder: string, body: () => T | Refusal): Promise<T> {
    return this.#environment.change(() => (this.holds(holder) ? body() : leaseLost()));
  }

  /** Whether nobody has taken the lease since `holder` did: one that has run out is still its own. */
  holds(holder: string): boolean {
    return this.#found()?.owner === holder;
  }

  #put(holder: string): void {
    this.#environment.db.putSync(this.#key, { owner: holder, until: Date.now() + this.#leaseMs });
  }

  #found(): Lease | undefined {
    return this.#environment.db.get(this.#key) as Lease | undefined;
  }
}
