import type { KafkaMessage } from 'kafkajs';
import type { Publication, SinkVersion } from '../../src/contracts/sink.js';

/** Offsets of a publication, a partition, in the topics it is written to. */
export type Offsets = Readonly<Record<'weights' | 'users' | 'items', readonly number[]>>;

/** A complete version as the models topic tells it: the manifest, and where its records are. */
export interface VersionRecord extends Publication, Omit<SinkVersion, keyof Publication> {
  readonly complete: true;
  /** Number of the writing: grows from each to the next, a rewriting of the same lists included. */
  readonly publication: number;
  readonly publishedAt: string;
  /** When other lists began to be written over its own, epoch ms; never yet without. */
  readonly overwrittenAt?: number | undefined;
  /** First offsets of its records, and those behind the last ones. */
  readonly starts: Offsets;
  readonly ends: Offsets;
  /** For how long lists that others have overwritten can still be read, in ms. */
  readonly retainMs: number;
  /** Whether single lists were overwritten since, so that `lists` may not be exact. */
  readonly amended?: boolean | undefined;
  /** Keys of its chunks in the weights topic. */
  readonly parts: readonly string[];
}

/** Who writes, until when, epoch ms. */
export interface Lease {
  readonly owner: string;
  /** Tells two connections of one owner apart. */
  readonly session: string;
  readonly until: number;
  /** The newest publication that was ever begun. */
  readonly publication: number;
}

/** Keys that are neither aliases nor versions: those have no slash. */
export const leaseKey = 'publisher/lease';
export const resultKey = (signal: string): string => `signal/${signal}`;

/** What the models topic says when it has been read to its end. */
export class ModelsState {
  readonly versions = new Map<string, VersionRecord>();
  readonly #aliases = new Map<string, string>();
  lease: Lease | undefined;

  apply({ key, value, headers }: KafkaMessage): void {
    const name = key?.toString() ?? '';
    if (name === leaseKey) {
      this.lease = value === null ? undefined : (JSON.parse(value.toString()) as Lease);
      return;
    }
    if (name === '' || name.includes('/')) return;
    this.versions.delete(name);
    this.#aliases.delete(name);
    if (value === null) return;
    const record = JSON.parse(value.toString()) as VersionRecord;
    if (headers?.kind?.toString() === 'alias') this.#aliases.set(name, record.version);
    else this.versions.set(name, record);
  }

  /** The version of every alias. */
  get aliases(): ReadonlyMap<string, string> {
    return new Map([...this.#aliases].sort());
  }

  /** The version that `alias` names, if it is there. */
  of(alias: string): VersionRecord | undefined {
    return this.versions.get(this.#aliases.get(alias) ?? '');
  }

  /** The version that was written last. */
  get newest(): VersionRecord | undefined {
    return [...this.versions.values()].reduce<VersionRecord | undefined>(
      (a, b) => (a && a.publication > b.publication ? a : b),
      undefined,
    );
  }

  /** The number of the next publication. */
  get next(): number {
    return Math.max(this.newest?.publication ?? 0, this.lease?.publication ?? 0) + 1;
  }
}

/** Whether all lists of a version are still in the topics: until they have been overwritten for too long. */
export const isWhole = ({ overwrittenAt = Infinity, retainMs }: VersionRecord, now = Date.now()): boolean =>
  now - overwrittenAt < retainMs;
