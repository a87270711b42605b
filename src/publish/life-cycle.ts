import type { ListKind, Publication } from '../contracts/sink.js';
import { type HeldLease, holdLease } from './lease.js';
import type { Draft, ListCounts, ListStore } from './list-store.js';
import { completeAlready, notBegun, notConnected, refused } from './sink-steps.js';

/**
 * Who may write, and what: a store that is open for an owner, and the version it has begun. The lease is held from
 * `begin` to `close` or the next `begin`; it is never renewed while lists are put, because both change the store.
 */
export class LifeCycle<L> {
  readonly #store: ListStore<L>;
  readonly #leaseMs: number;
  readonly #inPlace: boolean;
  /** Set while the store is open. */
  #owner: string | undefined;
  #lease: HeldLease | undefined;
  #attempt: { publication: Publication; draft: Draft<L>; counts: ListCounts } | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: ListStore<L>, leaseMs: number, inPlace: boolean) {
    this.#store = store;
    this.#leaseMs = leaseMs;
    this.#inPlace = inPlace;
  }

  get store(): ListStore<L> {
    if (this.#owner === undefined) throw notConnected();
    return this.#store;
  }

  async open(owner: string): Promise<void> {
    if (this.#owner !== undefined) return;
    await this.#store.open();
    this.#owner = owner;
  }

  async begin(target: string, publication: Publication): Promise<ListCounts> {
    const { store } = this;
    const owner = this.#owner!;
    await this.#end();
    const other = await store.takeLease(owner);
    if (other !== undefined) throw refused(other);
    this.#lease = holdLease(this.#leaseMs, () => this.#alone(() => store.renewLease(owner)));
    try {
      const complete = (await store.versions()).some(v => v.complete && v.version === target);
      if (complete && !this.#inPlace) throw completeAlready(target);
      const draft = await store.begin(target, publication, owner);
      this.#attempt = { publication, draft, counts: { ...draft.lists } };
      return { ...draft.lists };
    } catch (error) {
      await this.#end().catch(() => undefined);
      throw error;
    }
  }

  /** Stores `count` lists, which `of` makes. */
  async write(kind: ListKind, count: number, of: (version: string) => L): Promise<number> {
    const attempt = this.#begun();
    const { draft, publication } = attempt;
    const counts = { ...attempt.counts, [kind]: attempt.counts[kind] + count };
    const stored = await this.#alone(() => draft.put(kind, of(publication.version), counts));
    attempt.counts = counts;
    return stored;
  }

  async finish(): Promise<void> {
    const { draft, publication, counts } = this.#begun();
    await this.#alone(() => draft.complete({ ...publication, lists: counts }));
    this.#attempt = undefined;
  }

  async close(): Promise<void> {
    if (this.#owner === undefined) return;
    // What cannot be let go of runs out.
    await this.#end().catch(() => undefined);
    this.#owner = undefined;
    await this.#store.close();
  }

  #begun() {
    if (this.#attempt === undefined) throw this.#owner === undefined ? notConnected() : notBegun();
    this.#lease?.assertHeld();
    return this.#attempt;
  }

  /** Lets go of the version and the lease, also of one that a process of this owner left when it died. */
  async #end(): Promise<void> {
    const [attempt, lease] = [this.#attempt, this.#lease];
    this.#attempt = undefined;
    this.#lease = undefined;
    try {
      await lease?.stop();
      await attempt?.draft.abandon();
    } finally {
      await this.#store.releaseLease(this.#owner!);
    }
  }

  /** Runs `body` when everything before has ended. */
  #alone<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(body);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
