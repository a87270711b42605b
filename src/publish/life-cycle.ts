import type { ErasedIds, ForgottenLists } from '../contracts/erasure.js';
import {
  type ItemVectors,
  type ListKind,
  live,
  type Publication,
  type SinkContents,
} from '../contracts/sink.js';
import { type HeldLease, holderName, holdLease, newHolder } from './lease.js';
import type { Draft, ListCounts, ListStore, Move } from './list-store.js';
import { completeAlready, listsMissing, notBegun, notConnected, refused } from './sink-steps.js';

interface Attempt<L> {
  /** The version under whose keys it writes. */
  readonly target: string;
  readonly publication: Publication;
  readonly holder: string;
  readonly lease: HeldLease;
  /** Until it is finished. */
  draft?: Draft<L> | undefined;
  counts: ListCounts;
  /** Vectors that were put. */
  vectors: number;
}

/**
 * Who may write, and what: a store that is open for an owner, and the version it has begun. Each attempt has a lease of
 * its own from `begin` to `close` or the next `begin`. It is renewed whatever is done meanwhile, so that a long completion
 * keeps it, except in a store that `renewsAlone`.
 */
export class LifeCycle<L> {
  readonly #store: ListStore<L>;
  readonly #leaseMs: number;
  readonly #inPlace: boolean;
  /** Set while the store is open. */
  #owner: string | undefined;
  #attempt: Attempt<L> | undefined;
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
    await this.#store.open('write', owner);
    this.#owner = owner;
  }

  /** What there is in the store, which is opened to read only where it is not open. */
  async contents(): Promise<SinkContents> {
    const store = this.#store;
    const opened = this.#owner === undefined;
    if (opened && !(await store.open('read'))) return { pointers: new Map(), versions: [] };
    try {
      return { pointers: await store.pointers(), versions: await store.versions() };
    } finally {
      if (opened) await store.close();
    }
  }

  /** Takes the lease for a new attempt; the one before ends. */
  async #take(): Promise<Pick<Attempt<L>, 'holder' | 'lease'>> {
    const { store } = this;
    await this.#end();
    const holder = newHolder(this.#owner!);
    const other = await store.takeLease(holder);
    if (other !== undefined) throw refused(holderName(other));
    const renew = () => store.renewLease(holder);
    const renewed = store.renewsAlone ? () => this.#alone(renew) : renew;
    return { holder, lease: holdLease(this.#leaseMs, renewed) };
  }

  async begin(publication: Publication): Promise<ListCounts> {
    const { store } = this;
    const target = this.#target(publication.version);
    const { holder, lease } = await this.#take();
    const counts = { users: 0, items: 0 };
    this.#attempt = { target, publication, holder, lease, counts, vectors: 0 };
    try {
      const complete = (await store.versions()).some(v => v.complete && v.version === target);
      if (complete && !this.#inPlace) throw completeAlready(target);
      const draft = await store.begin(target, publication, holder);
      Object.assign(this.#attempt, { draft, counts: { ...draft.lists } });
      return { ...draft.lists };
    } catch (error) {
      await this.#end().catch(() => undefined);
      throw error;
    }
  }

  /** Takes ids out of the store while nobody writes. */
  async forget(erased: ErasedIds): Promise<ForgottenLists> {
    const { store } = this;
    const { holder, lease } = await this.#take();
    try {
      return await this.#alone(() => store.forget(erased, holder));
    } finally {
      await lease.stop();
      await store.releaseLease(holder);
    }
  }

  /** Stores `count` lists, which `of` makes. */
  async write(kind: ListKind, count: number, of: (version: string) => L): Promise<number> {
    const { attempt, draft } = this.#begun();
    const counts = { ...attempt.counts, [kind]: attempt.counts[kind] + count };
    const stored = await this.#alone(() => draft.put(kind, of(attempt.publication.version), counts));
    attempt.counts = counts;
    return stored;
  }

  async writeVectors(vectors: ItemVectors): Promise<void> {
    const { attempt, draft } = this.#begun();
    await this.#alone(() => draft.putVectors!(vectors));
    attempt.vectors = vectors.first + vectors.ids.length;
  }

  async finish(): Promise<void> {
    const { attempt, draft } = this.#begun();
    const { version, vectors } = attempt.publication;
    if (vectors && attempt.vectors < vectors.count)
      throw listsMissing(version, 'vectors', attempt.vectors, vectors.count);
    await this.#alone(() => draft.complete({ ...attempt.publication, lists: attempt.counts }));
    attempt.draft = undefined;
  }

  /** Points at a version; one of this attempt only while its lease is held. */
  async point(move: Omit<Move, 'holder'>): Promise<void> {
    const { store } = this;
    const version = this.#target(move.version);
    const own = this.#attempt?.target === version ? this.#attempt : undefined;
    own?.lease.assertHeld();
    await this.#alone(() => store.point({ ...move, version, holder: own?.holder }));
  }

  /** The version whose keys hold the lists of `version`. */
  #target(version: string): string {
    return this.#inPlace ? live : version;
  }

  async close(): Promise<void> {
    if (this.#owner === undefined) return;
    // What cannot be let go of runs out.
    await this.#end().catch(() => undefined);
    this.#owner = undefined;
    await this.#store.close();
  }

  #begun(): { attempt: Attempt<L>; draft: Draft<L> } {
    const attempt = this.#attempt;
    if (attempt?.draft === undefined) throw this.#owner === undefined ? notConnected() : notBegun();
    attempt.lease.assertHeld();
    return { attempt, draft: attempt.draft };
  }

  /** Lets go of the version and of its lease. */
  async #end(): Promise<void> {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    if (attempt === undefined) return;
    try {
      await attempt.lease.stop();
      // What cannot be let go of is cleared away by the next attempt.
      await attempt.draft?.abandon().catch(() => undefined);
    } finally {
      await this.#store.releaseLease(attempt.holder);
    }
  }

  /** Runs `body` when everything before has ended. */
  #alone<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(body);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
