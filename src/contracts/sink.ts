/** The contract of the stores that lists are published to, and what is handed to them. */
import type { Probe } from '../runtime/probe.js';
import type { ErasedIds, ForgottenLists } from './erasure.js';
import type { Manifest } from './manifest.js';

/** A ranked list of items for one user or one item, best first. */
export interface RankedList {
  readonly id: string;
  readonly items: readonly string[];
  /** Score of each item, same length as `items`; descending, but for what fills up behind. */
  readonly scores: ArrayLike<number>;
  /** How many of the last items are popular ones that fill up a list the model could not. */
  readonly fallback?: number | undefined;
}

/** What a list is keyed by. */
export type ListKind = 'users' | 'items';

/** How a key-value sink wants the values: see `encode.ts`. */
export interface ListFormat {
  readonly encoding: 'json' | 'msgpack';
  /** Whether each value begins with the hash of its content and the version that wrote it. */
  readonly stamped: boolean;
}

/**
 * Lists as the bytes to store: the value of `ids[r]` is `bytes[offsets[r] … offsets[r + 1])`. The bytes are valid until
 * the call they were given to has returned: after that the memory is used again.
 */
export interface EncodedLists {
  readonly ids: readonly string[];
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
}

/** All vectors of a version: `count` items of `rank` dimensions, with `entries` stored numbers in all. */
export interface VectorShape {
  readonly form: 'dense' | 'sparse';
  readonly count: number;
  readonly rank: number;
  readonly entries: number;
}

/** Vectors of consecutive items, each of unit norm, for an index of nearest neighbours. */
export interface ItemVectors {
  readonly shape: VectorShape;
  /** Place of the first item among all, and the stored numbers before it. */
  readonly first: number;
  readonly begin: number;
  readonly ids: readonly string[];
  /** Item r has values[indptr[r] … indptr[r + 1]). */
  readonly indptr: Int32Array;
  readonly values: Float32Array;
  /** The dimension of each value, ascending in an item; absent where every item has all of them. */
  readonly indices?: Int32Array | undefined;
  /** The dimension that an item itself is, −1 for none; absent where dimensions are no items. */
  readonly dimensions?: Int32Array | undefined;
}

/** What is published: a model's manifest under the version readers see, and what its lists were made of. */
export interface Publication extends Manifest {
  /** The model's own version; `version` differs from it when the model is published again with other lists. */
  readonly model?: string | undefined;
  /** ISO 8601, UTC. */
  readonly publishedAt?: string | undefined;
  /** Grows from each publication to the next in the sinks it goes to; clocks may be wrong. */
  readonly ordinal?: number | undefined;
  /** Equal for publications whose lists are equal; a publication with the same one may be continued. */
  readonly content?: string | undefined;
  /** The newest change of a history that the lists know. */
  readonly change?: number | undefined;
  /** The vectors of items beside the lists, for sinks that take them. */
  readonly vectors?: VectorShape | undefined;
}

/** A model as files: what a sink needs to hand it on. */
export interface ModelFiles {
  /** `weights.safetensors`, with the manifest's checksum. */
  readonly weightsPath: string;
  /** Key of the item of each row. */
  readonly items: readonly string[];
}

/** A version as a sink holds it. Incomplete ones are of a publication under way, or of one that died. */
export interface SinkVersion extends Partial<Pick<Publication, 'model' | 'ordinal' | 'content' | 'change'>> {
  readonly version: string;
  /** ISO 8601, UTC: when it was published, or else when its model was made. */
  readonly publishedAt: string;
  readonly complete: boolean;
  /** Lists it holds. */
  readonly lists: Readonly<Record<ListKind, number>>;
  /** Vectors it holds, where it was published with them. */
  readonly vectors?: VectorShape | undefined;
}

/** The alias that readers follow unless told otherwise. */
export const champion = 'champion';

/** The version of a sink that overwrites its lists in place. */
export const live = 'live';

/**
 * A store of precomputed lists. A version is written whole (`begin`, `write`…, `finish`) and only then pointed at
 * (`point`); a reader reads the pointer first and so always sees one whole version. Of `write`, `amend` and
 * `writeEncoded` a batch may come again; the last one counts. Every failure is a `SINK_FAILED`.
 */
export interface Sink {
  readonly name: string;
  /** What the sink's own settings ask `prune` to keep; without it the publisher deletes nothing. */
  readonly keep?: number | undefined;
  /** The format `writeEncoded` takes; a sink without it gets ranked lists. */
  readonly format?: ListFormat | undefined;
  /** Whether lists are overwritten in place, under the version `live`, and unchanged ones left alone. */
  readonly inPlace?: boolean | undefined;
  /** A publication that is estimated to take more is refused before anything is written. */
  readonly maxBytes?: number | undefined;
  /** Bytes a list takes beside its key and value. */
  readonly overheadBytes?: number | undefined;
  /**
   * Opens the store for `owner`, or for somebody new. While one owner writes, another is refused until the first has
   * closed or has been silent for as long as the sink's lease lasts; the same owner goes on at once.
   */
  connect(owner?: string): Promise<void>;
  /**
   * Starts a version. An unfinished attempt with the same `content` may be continued: returns how many lists are
   * there. Any other is discarded.
   */
  begin(publication: Publication): Promise<Readonly<Record<ListKind, number>>>;
  /** Takes the model itself, after `begin`; for sinks that hand models on. */
  writeModel?(files: ModelFiles): Promise<void>;
  /** Takes vectors of items, after `begin`, all of them in order; for sinks that keep them. */
  writeVectors?(vectors: ItemVectors): Promise<void>;
  /** Returns how many lists it stored: fewer than given where they were there already. */
  write(kind: ListKind, lists: readonly RankedList[]): Promise<number>;
  writeEncoded?(kind: ListKind, lists: EncodedLists): Promise<number>;
  /** Makes the version durable and complete. */
  finish(): Promise<void>;
  /**
   * Switches a pointer to a complete version. With `expected` (null: none yet), only if the pointer still names that
   * version, in one step.
   */
  point(version: string, alias?: string, expected?: string | null): Promise<void>;
  /**
   * What there is, whether the sink is connected or not. Nothing is made or changed for it, and no lease is taken or
   * taken away: what was not made yet has nothing.
   */
  contents(): Promise<SinkContents>;
  /** The version that `alias`, by default the champion, names. */
  current(alias?: string): Promise<string | undefined>;
  /** The version of every alias there is. */
  pointers(): Promise<ReadonlyMap<string, string>>;
  versions(): Promise<readonly SinkVersion[]>;
  /** The list of `id` in the version that `alias` names. */
  get?(kind: ListKind, id: string, alias?: string): Promise<RankedList | undefined>;
  /**
   * Overwrites and deletes single lists of a complete version, each at once; `change` is the newest change of a
   * history that the version knows from then on.
   */
  amend?(version: string, kind: ListKind, amendment: Amendment): Promise<void>;
  /**
   * Deletes the lists of users and items that were erased, in every version, and takes the items out of all other lists,
   * or says in `remains` what it leaves; nobody else may write meanwhile. What is cut off is done by calling it again.
   */
  forget?(erased: ErasedIds): Promise<ForgottenLists>;
  /** A probe of the system behind it, for one that lies elsewhere. */
  openProbe?(): Probe;
  /** Deletes complete versions that no alias names, except the `keep` newest by ordinal. */
  prune?(keep: number): Promise<void>;
  close(): Promise<void>;
}

/** What there is in a sink. */
export interface SinkContents {
  /** The version of every alias there is. */
  readonly pointers: ReadonlyMap<string, string>;
  readonly versions: readonly SinkVersion[];
}

/** What changes in a complete version. */
export interface Amendment {
  readonly lists: readonly RankedList[];
  /** Ids whose lists go. */
  readonly gone: readonly string[];
  readonly change?: number | undefined;
}
