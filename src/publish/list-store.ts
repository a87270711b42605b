import type { ErasedIds, ForgottenLists } from '../contracts/erasure.js';
import type { Amendment, ItemVectors, ListKind, Publication, SinkVersion } from '../contracts/sink.js';
import type { StoredPublication } from './sink-steps.js';

/** Lists of each kind. */
export type ListCounts = Readonly<Record<ListKind, number>>;

/** A version on its way into a store, by the holder of the lease. `L` is the form of lists that the store takes. */
export interface Draft<L> {
  /** Lists that an earlier attempt left and that need not come again. */
  readonly lists: ListCounts;
  /** Stores lists, with which the version has `counts`; returns how many were not there already. */
  put(kind: ListKind, lists: L, counts: ListCounts): Promise<number>;
  /** Stores vectors of items, where the store keeps them. */
  putVectors?(vectors: ItemVectors): Promise<void>;
  /** Makes the version durable and complete, if its holder still has the lease and all its lists are there. */
  complete(manifest: StoredPublication): Promise<void>;
  /** Lets go of what it holds, finished or not. */
  abandon(): Promise<void>;
}

/** What a store is opened for. */
export type Access = 'read' | 'write';

/** How a pointer is to move; see `Sink.point`. */
export interface Move {
  readonly alias: string;
  readonly version: string;
  readonly expected: string | null | undefined;
  /** Who must have the lease: the attempt that wrote the version. Without it anybody may point. */
  readonly holder: string | undefined;
}

/**
 * What a store of lists has to be able to do; `createVersionedSink` makes a sink of it. Only open stores are used. A
 * holder is a text: see `newHolder`. A lease that has run out is nobody's.
 */
export interface ListStore<L> {
  /** Whether its drafts take vectors of items. */
  readonly keepsVectors?: boolean;
  /**
   * Set where a lease is not renewed while something else is done to the store, such as one that one transaction at a time
   * has. What may last longer than the lease, such as a completion, must then renew it by itself.
   */
  readonly renewsAlone?: boolean;
  /**
   * Opens the store, or makes it, and takes away a lease of `owner` whose process has died. To read, nothing is made or
   * changed; false, and not open, where there is none.
   */
  open(access: Access, owner?: string): Promise<boolean>;
  close(): Promise<void>;
  /** Takes the lease for `holder` if it is nobody's or `mayFollow`; returns who has it instead. */
  takeLease(holder: string): Promise<string | undefined>;
  /** Makes it last longer; false when `holder` does not have it. */
  renewLease(holder: string): Promise<boolean>;
  /** Gives it up, if `holder` has it. */
  releaseLease(holder: string): Promise<void>;
  /** Clears away unfinished attempts and begins `target`: the publication's version, or `live`. */
  begin(target: string, publication: Publication, holder: string): Promise<Draft<L>>;
  versions(): readonly SinkVersion[] | Promise<readonly SinkVersion[]>;
  pointers(): ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>>;
  current(alias: string): string | undefined | Promise<string | undefined>;
  /** Points at a version that is complete and has all its lists. */
  point(move: Move): Promise<void>;
  /** The stored bytes of a list, in the encoding of the sink's format. */
  read?(version: string, kind: ListKind, id: string): Promise<Uint8Array | undefined>;
  amend?(version: string, kind: ListKind, amendment: Amendment): Promise<void>;
  /** Takes ids out of every version, and clears away unfinished attempts; `holder` has the lease. See `Sink.forget`. */
  forget(erased: ErasedIds, holder: string): Promise<ForgottenLists>;
  /** Deletes complete versions that no alias names by now. */
  remove(versions: readonly string[]): Promise<void>;
}
