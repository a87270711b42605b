import type { Amendment, ListKind, Publication, SinkVersion } from '../contracts/sink.js';
import type { StoredPublication } from './sink-steps.js';

/** Lists of each kind. */
export type ListCounts = Readonly<Record<ListKind, number>>;

/** A version on its way into a store, by whoever has the lease. `L` is the form of lists that the store takes. */
export interface Draft<L> {
  /** Lists that an earlier attempt left and that need not come again. */
  readonly lists: ListCounts;
  /** Stores lists, with which the version has `counts`; returns how many were not there already. */
  put(kind: ListKind, lists: L, counts: ListCounts): Promise<number>;
  /** Makes the version durable and complete, if `owner` still has the lease. */
  complete(manifest: StoredPublication): Promise<void>;
  /** Lets go of what it holds, finished or not. */
  abandon(): Promise<void>;
}

/** What a store of lists has to be able to do; `VersionedSink` makes a sink of it. Only open stores are used. */
export interface ListStore<L> {
  open(): Promise<void>;
  close(): Promise<void>;
  /** Takes the lease for `owner`; returns who has it instead. */
  takeLease(owner: string): Promise<string | undefined>;
  /** Makes it last longer; false when `owner` does not have it. */
  renewLease(owner: string): Promise<boolean>;
  /** Gives it up, if `owner` has it. */
  releaseLease(owner: string): Promise<void>;
  /** Clears away unfinished attempts and begins `target`: the publication's version, or `live`. */
  begin(target: string, publication: Publication, owner: string): Promise<Draft<L>>;
  versions(): readonly SinkVersion[] | Promise<readonly SinkVersion[]>;
  pointers(): ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>>;
  current(alias: string): string | undefined | Promise<string | undefined>;
  /** Points at a complete version; see `Sink.point`. */
  point(alias: string, version: string, expected: string | null | undefined): Promise<void>;
  /** The stored bytes of a list, in the encoding of the sink's format. */
  read?(version: string, kind: ListKind, id: string): Promise<Uint8Array | undefined>;
  amend?(version: string, kind: ListKind, amendment: Amendment): Promise<void>;
  /** Deletes complete versions. */
  remove(versions: readonly string[]): Promise<void>;
}
