import type { KafkaMessage } from 'kafkajs';
import { z } from 'zod';
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
  /** The holder: see `newHolder`. */
  readonly session: string;
  readonly until: number;
  /** The newest publication that was ever begun. */
  readonly publication: number;
}

/** Keys that are neither aliases nor versions: those have no slash. */
export const leaseKey = 'publisher/lease';
export const resultKey = (signal: string): string => `signal/${signal}`;

const offsets = z.array(z.number());
/** What is relied upon of a record; whoever may write to the topic can put anything there. */
const shapes = {
  lease: z.looseObject({
    owner: z.string(),
    session: z.string(),
    until: z.number(),
    publication: z.number(),
  }),
  alias: z.looseObject({ version: z.string() }),
  version: z.looseObject({
    version: z.string(),
    publication: z.number(),
    publishedAt: z.string(),
    lists: z.looseObject({ users: z.number(), items: z.number() }),
    starts: z.looseObject({ weights: offsets, users: offsets, items: offsets }),
    ends: z.looseObject({ weights: offsets, users: offsets, items: offsets }),
    parts: z.array(z.string()),
  }),
};

/** Keys that a warning was given for. */
const warned = new Set<string>();

function warn(key: string, kind: string): void {
  if (warned.has(key)) return;
  warned.add(key);
  process.emitWarning(
    `The record ${JSON.stringify(key)} of the models topic is no ${kind} record. It was passed over; find out who wrote it.`,
    'SansaStreamWarning',
  );
}

/** What the models topic says when it has been read to its end. */
export class ModelsState {
  readonly versions = new Map<string, VersionRecord>();
  readonly #aliases = new Map<string, string>();
  lease: Lease | undefined;

  /** Takes a record in. One that is not of ours changes nothing; a warning tells of it once. */
  apply({ key, value, headers }: KafkaMessage): void {
    const name = key?.toString() ?? '';
    if (name === '' || (name.includes('/') && name !== leaseKey)) return;
    const alias = headers?.kind?.toString() === 'alias';
    const kind = name === leaseKey ? 'lease' : alias ? 'alias' : 'version';
    const record = value === null ? undefined : parsed(value, kind);
    if (value !== null && record === undefined) {
      warn(name, kind);
      return;
    }
    if (kind === 'lease') {
      this.lease = record as Lease | undefined;
      return;
    }
    this.versions.delete(name);
    this.#aliases.delete(name);
    if (record === undefined) return;
    if (alias) this.#aliases.set(name, (record as VersionRecord).version);
    else this.versions.set(name, record as VersionRecord);
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

/** The record in `value`, or nothing if it is of another shape. */
function parsed(value: Buffer, kind: keyof typeof shapes): unknown {
  try {
    const record: unknown = JSON.parse(value.toString());
    return shapes[kind].safeParse(record).success ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Whether all lists of a version are still in the topics: until they have been overwritten for too long. */
export const isWhole = ({ overwrittenAt = Infinity, retainMs }: VersionRecord, now = Date.now()): boolean =>
  now - overwrittenAt < retainMs;
