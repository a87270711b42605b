/** The erasure of a user: what it takes out of the state and the sinks, and the receipt of it. */
import type { SegmentFile } from '../gramian/segment.js';
import type { Rows } from '../matrix/rows.js';
import type { Manifest } from './manifest.js';

/** Ids that have to go from a sink: lists of these users, and these items everywhere. */
export interface ErasedIds {
  readonly users: readonly string[];
  readonly items: readonly string[];
}

/** What a sink removed, in all its versions. */
export interface ForgottenLists {
  /** Lists that were deleted, and lists of others that lost an erased item. */
  readonly deleted: number;
  readonly rewritten: number;
  /** What may still hold the ids, as whole sentences. */
  readonly remains: readonly string[];
}

/** What leaves the Gramian and the models: a user who is erased, items that nobody has any more, or both. */
export interface LeavingUser {
  /** Her row of X; empty where she has none, or where only items leave. */
  readonly row: Rows;
  /** Ascending ids of the items that nobody has any more. Ids behind them close the gaps. */
  readonly dropped: Int32Array;
  readonly segments: readonly SegmentFile[];
}

/** What takes the place of segments and models that held her history or her items. */
export interface Remainder {
  /** The one segment instead of all; `undefined` leaves them as they are. */
  readonly segment: SegmentFile | undefined;
  /** Manifests of models that were written again. */
  readonly models: readonly Manifest[];
}

/** Rows that an erasure removed from the state, or changed. */
export interface ErasedRows {
  /** 1 if the state knew the user. */
  readonly users: number;
  /** Events that waited for a fold. */
  readonly events: number;
  readonly interactions: number;
  readonly deadLetters: number;
  /** Ids of events that named the user; keyed hashes take their place, so that a repeated event stays known. */
  readonly eventIds: number;
  /** Runs and signals whose text named the user. */
  readonly notes: number;
  /** Items that nobody has any more. */
  readonly items: number;
  readonly segments: number;
  /** Models that were rewritten without such items. */
  readonly modelsRewritten: readonly string[];
}

/** An erasure that has begun and not ended. */
export interface PendingErasure {
  readonly hash: string;
  /** Epoch ms. */
  readonly askedAt: number;
  /** Until state and sinks have forgotten her; then only free pages of the database may have her id. */
  readonly user: string | undefined;
  /** Set once the state has forgotten her. */
  readonly erased: { readonly rows: ErasedRows; readonly items: readonly string[] } | undefined;
}

/** The proof of an erasure. It has no id but a keyed hash; the key is in the state. */
export interface Receipt extends ErasedRows {
  /** HMAC-SHA-256 of the user's id, hexadecimal. */
  readonly hash: string;
  /** ISO 8601, UTC. */
  readonly askedAt: string;
  readonly finishedAt: string;
  /** Files that were removed: segments, copies of the database, files that had been set aside. */
  readonly files: number;
  readonly sinks: readonly (Omit<ForgottenLists, 'remains'> & { readonly name: string })[];
  /** Models whose weights were fitted while the state had her history; the next fit no longer has it. */
  readonly influenced: readonly string[];
  /** What may still hold her id and is out of reach, as whole sentences. */
  readonly remains: readonly string[];
}
