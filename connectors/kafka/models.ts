import type { Kafka, Message } from 'kafkajs';
import { type HeldLease, holderName, holdLease, mayFollow, newHolder } from '../../src/publish/lease.js';
import type { Move } from '../../src/publish/list-store.js';
import { superseded } from '../../src/publish/retention.js';
import { assertExpected, leaseLost, notComplete, Refusal, refused } from '../../src/publish/sink-steps.js';
import { type Lease, leaseKey, ModelsState, type VersionRecord } from './models-topic.js';
import type { Topics } from './names.js';
import { endAbandoned } from './publication.js';
import { openTail, type Tail } from './tail.js';
import { exclusively, type Send } from './transaction.js';

/** The record that completes a version. */
export const versionMessage = (record: VersionRecord): Message => ({
  key: record.version,
  value: JSON.stringify(record),
  headers: { kind: 'version', 'model-version': record.version },
});

/** The version of `state` by name. */
export function versionIn(state: ModelsState, version: string): VersionRecord {
  const record = state.versions.get(version);
  if (!record) throw notComplete(version);
  return record;
}

interface ModelsSettings {
  readonly prefix: string;
  readonly topics: Topics;
  readonly owner: string;
  readonly group: string;
  readonly leaseMs: number;
  readonly where: string;
}

/** Opens the models topic for `owner`. */
export async function openModels(kafka: Kafka, settings: ModelsSettings): Promise<Models> {
  const { topics, where, group } = settings;
  const state = new ModelsState();
  const starts = new Map([[topics.models, undefined]]);
  const tail = await openTail(kafka, { group, where }, starts, {
    record: ({ message }) => state.apply(message),
  });
  await tail.caughtUp().catch(async error => {
    await tail.close();
    throw error;
  });
  return new Models(kafka, settings, state, tail);
}

/**
 * The models topic, read to its end and written in sections that exclude each other. Inside a section the state is what
 * the topic says, and nobody else can add to it.
 */
export class Models {
  readonly state: ModelsState;
  readonly #kafka: Kafka;
  readonly #settings: ModelsSettings;
  readonly #tail: Tail;
  /** The holder of the last claim; empty before the first. */
  #holder = '';
  #lease: HeldLease | undefined;

  constructor(kafka: Kafka, settings: ModelsSettings, state: ModelsState, tail: Tail) {
    this.#kafka = kafka;
    this.#settings = settings;
    this.state = state;
    this.#tail = tail;
  }

  /** Reads the topic to its present end. */
  refresh(): Promise<void> {
    return this.#tail.caughtUp();
  }

  /** Waits until the state knows everything before the offset `end`. */
  async reached(end: number): Promise<void> {
    const stalled = this.#endingAbandoned();
    const until = new Map([[this.#settings.topics.models, [end]]]);
    await this.#tail.passed(until, { stalled: () => stalled().then(() => true) });
  }

  /** Takes the lease for a new publication; returns its number. Throws while another attempt writes. */
  async claim(): Promise<number> {
    const { owner, leaseMs } = this.#settings;
    await this.#lease?.stop();
    this.#holder = newHolder(owner);
    const publication = await this.#section(
      async send => {
        const other = this.#taken();
        if (other) throw refused(holderName(other));
        const publication = this.state.next;
        const until = Date.now() + leaseMs;
        await this.#sendLease(send, { owner, session: this.#holder, until, publication });
        return publication;
      },
      { claims: true },
    );
    this.#lease = holdLease(leaseMs, () => this.#extend(() => Date.now() + leaseMs));
    return publication;
  }

  /** Throws if the lease is no longer ours. */
  async assertHeld(): Promise<void> {
    await this.#tail.caughtUp();
    this.#lease?.assertHeld();
    if (!this.#held()) throw leaseLost();
  }

  async release(): Promise<void> {
    await this.#lease?.stop();
    this.#lease = undefined;
    if (this.#held()) await this.#extend(() => 0);
    this.#holder = '';
  }

  /**
   * Names `version` by an alias; returns false, and does nothing, if its lists are not the last that were written. With
   * `own` only while the lease is held that it was written under.
   */
  point({ version, alias, expected }: Omit<Move, 'holder'>, own: boolean): Promise<boolean> {
    const { state } = this;
    return this.#section(async send => {
      if (own && !this.#held()) throw leaseLost();
      const record = versionIn(state, version);
      if (state.versions.has(alias))
        throw new Refusal(`a version has the name of alias ${alias}: choose another alias`);
      assertExpected(alias, state.aliases.get(alias), version, expected);
      if (record.publication !== state.newest!.publication) return false;
      const headers = { kind: 'alias', 'model-version': version };
      await send(this.#settings.topics.models, [{ key: alias, value: JSON.stringify(record), headers }]);
      return true;
    });
  }

  /** Forgets the superseded versions but the `keep` newest. */
  prune(keep: number): Promise<void> {
    const { topics } = this.#settings;
    const { state } = this;
    return this.#section(async send => {
      const old = superseded([...state.versions.values()], state.aliases.values(), keep);
      const parts = old.flatMap(version => state.versions.get(version)!.parts);
      const tombstones = (keys: readonly string[]) => keys.map(key => ({ key, value: null }));
      if (old.length > 0) await send(topics.models, tombstones(old));
      if (parts.length > 0) await send(topics.weights, tombstones(parts));
    });
  }

  async close(): Promise<void> {
    await this.release().catch(() => undefined);
    await this.#tail.close();
  }

  /** Whether nobody has taken the lease since we did: one that has run out is still ours. */
  #held(): boolean {
    return this.#holder !== '' && this.state.lease?.session === this.#holder;
  }

  /** The holder of a lease that keeps us out. */
  #taken(): string | undefined {
    const { lease } = this.state;
    if (!lease || lease.until <= Date.now()) return undefined;
    // Earlier releases stored a session that tells nothing of its process.
    const holder = lease.session.startsWith('{') ? lease.session : lease.owner;
    return mayFollow(holder, newHolder(this.#settings.owner)) ? undefined : holder;
  }

  async #sendLease(send: Send, lease: Lease): Promise<void> {
    await send(this.#settings.topics.models, [{ key: leaseKey, value: JSON.stringify(lease) }]);
  }

  /** Renews the lease, or gives it up; returns false, and does nothing, once it is somebody else's. */
  #extend(until: () => number): Promise<boolean> {
    return this.#section(async send => {
      if (!this.#held()) return false;
      await this.#sendLease(send, { ...this.state.lease!, until: until() });
      return true;
    });
  }

  /**
   * Makes a `stalled` function for waits. An open transaction hides all later records. Its publisher ends it soon, or is
   * dead: then nobody has the lease, and the transaction is aborted here. Our own is aborted only if we `claim` anew.
   */
  #endingAbandoned({ claims = false } = {}): () => Promise<boolean> {
    let ended = false;
    return async () => {
      if (this.#taken() || (this.#held() && !claims)) return true;
      if (ended) return false;
      await endAbandoned(this.#kafka, this.#settings.prefix);
      ended = true;
      return true;
    };
  }

  /**
   * Runs `body` on the newest state; afterwards the state includes what `body` has sent. A section that `claims` has no
   * publication of its own open.
   */
  async #section<T>(body: (send: Send) => Promise<T>, { claims = false } = {}): Promise<T> {
    const { topics, prefix } = this.#settings;
    let end = 0;
    const result = await exclusively(this.#kafka, `${prefix}.models`, async send => {
      await this.#tail.caughtUp({ stalled: this.#endingAbandoned({ claims }) });
      return body(async (topic, messages) => {
        const behind = await send(topic, messages);
        if (topic === topics.models) end = behind;
        return behind;
      });
    });
    await this.reached(end);
    return result;
  }
}
