import { randomUUID } from 'node:crypto';
import type { Kafka, Message } from 'kafkajs';
import { superseded } from '../../src/publish/retention.js';
import { assertExpected, refused } from '../../src/publish/sink-steps.js';
import { endAbandoned } from './attempt.js';
import { type Lease, leaseKey, ModelsState, type VersionRecord } from './models-topic.js';
import type { Topics } from './names.js';
import { openTail, type Tail } from './tail.js';
import { exclusively, type Send } from './transaction.js';

/** The models topic, read to its end and written in sections that exclude each other. */
export interface Models {
  readonly state: ModelsState;
  /** Reads what has come since. */
  refresh(): Promise<void>;
  /** Waits until the state knows everything before the offset `end`. */
  reached(end: number): Promise<void>;
  /** Takes the lease for a new publication; returns its number. Throws while another owner writes. */
  claim(): Promise<number>;
  /** Throws if the lease is no longer ours. */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
  /** Names `version` by an alias; returns false, and does nothing, if its lists are not the last that were written. */
  point(version: string, alias: string, expected: string | null | undefined): Promise<boolean>;
  /** Forgets the superseded versions but the `keep` newest; returns them. */
  prune(keep: number): Promise<readonly VersionRecord[]>;
  close(): Promise<void>;
}

/** The record that completes a version. */
export const versionMessage = (record: VersionRecord): Message => ({
  key: record.version,
  value: JSON.stringify(record),
  headers: { kind: 'version', 'model-version': record.version },
});

/** The version of `state` by name. */
export function versionIn(state: ModelsState, version: string): VersionRecord {
  const record = state.versions.get(version);
  if (!record) throw new Error('no such version or an unfinished one');
  return record;
}

/** Opens the models topic for `owner`. */
export async function openModels(
  kafka: Kafka,
  settings: {
    readonly prefix: string;
    readonly topics: Topics;
    readonly owner: string;
    readonly group: string;
    readonly leaseMs: number;
    readonly where: string;
  },
): Promise<Models> {
  const { topics, prefix, owner, leaseMs, where, group } = settings;
  const state = new ModelsState();
  const session = randomUUID();
  const starts = new Map([[topics.models, undefined]]);
  const tail: Tail = await openTail(kafka, { group, where }, starts, {
    record: ({ message }) => state.apply(message),
  });
  await tail.caughtUp().catch(async error => {
    await tail.close();
    throw error;
  });
  let beat: NodeJS.Timeout | undefined;
  const held = (): boolean => state.lease?.session === session;

  /** The lease of somebody else who writes. */
  function taken(): Lease | undefined {
    const { lease } = state;
    return lease && lease.owner !== owner && lease.until > Date.now() ? lease : undefined;
  }
  /**
   * For waits that stall: a publication that has sent its records here and not ended hides what comes after them. Its
   * publisher ends it in a moment, or is dead, and then it is ended here; not ours, unless we `claim` anew.
   */
  function endingAbandoned({ claims = false } = {}): () => Promise<boolean> {
    let ended = false;
    return async () => {
      if (taken() || (held() && !claims)) return true;
      if (ended) return false;
      await endAbandoned(kafka, prefix);
      ended = true;
      return true;
    };
  }
  async function reached(end: number): Promise<void> {
    const stalled = endingAbandoned();
    await tail.passed(new Map([[topics.models, [end]]]), { stalled: () => stalled().then(() => true) });
  }
  /**
   * Runs `body` on the newest state; when it is over, the state knows what `body` has sent. Who `claims` has nothing
   * under way.
   */
  async function section<T>(body: (send: Send) => Promise<T>, { claims = false } = {}): Promise<T> {
    let end = 0;
    const result = await exclusively(kafka, `${prefix}.models`, async send => {
      await tail.caughtUp({ stalled: endingAbandoned({ claims }) });
      return body(async (topic, messages) => {
        const behind = await send(topic, messages);
        if (topic === topics.models) end = behind;
        return behind;
      });
    });
    await reached(end);
    return result;
  }
  const leaseMessage = (lease: Lease): Message => ({ key: leaseKey, value: JSON.stringify(lease) });

  function claim(): Promise<number> {
    return section(
      async send => {
        const other = taken();
        if (other) throw refused(other.owner);
        const publication = state.next;
        await send(topics.models, [
          leaseMessage({ owner, session, until: Date.now() + leaseMs, publication }),
        ]);
        return publication;
      },
      { claims: true },
    );
  }

  /** Renews the lease, or gives it up; does nothing once it is somebody else's. */
  function extend(until: () => number): Promise<void> {
    return section(async send => {
      if (held()) await send(topics.models, [leaseMessage({ ...state.lease!, until: until() })]);
    });
  }

  async function release(): Promise<void> {
    clearInterval(beat);
    beat = undefined;
    if (held() && state.lease!.until > 0) await extend(() => 0);
  }

  return {
    state,
    refresh: () => tail.caughtUp(),
    reached,
    async claim() {
      const publication = await claim();
      beat ??= setInterval(() => {
        // What is under way meets the same failure.
        extend(() => Date.now() + leaseMs).catch(() => undefined);
      }, leaseMs / 3).unref();
      return publication;
    },
    async assertHeld() {
      await tail.caughtUp();
      if (!held()) throw new Error('that the lease was lost: this publisher was silent for too long');
    },
    release,
    point: (version, alias, expected) =>
      section(async send => {
        const record = versionIn(state, version);
        if (state.versions.has(alias)) throw new Error(`alias ${alias}: a version has that name`);
        assertExpected(alias, state.aliases.get(alias), version, expected);
        if (record.publication !== state.newest!.publication) return false;
        const headers = { kind: 'alias', 'model-version': version };
        await send(topics.models, [{ key: alias, value: JSON.stringify(record), headers }]);
        return true;
      }),
    prune: keep =>
      section(async send => {
        const old = superseded([...state.versions.values()], state.aliases.values(), keep);
        const records = old.map(version => state.versions.get(version)!);
        if (old.length > 0)
          await send(
            topics.models,
            old.map(key => ({ key, value: null })),
          );
        const parts = records.flatMap(r => r.parts.map(key => ({ key, value: null })));
        if (parts.length > 0) await send(topics.weights, parts);
        return records;
      }),
    async close() {
      await release().catch(() => undefined);
      await tail.close();
    },
  };
}
