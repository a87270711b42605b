/** The contract of the streams that events come from. */
import type { Probe } from '../runtime/probe.js';

/** Where to resume reading one partition of a source. */
export interface Position {
  /**
   * Name of the partition; several of one stream end in a slash and a number (`events/3`). Ids of events are those of
   * their stream.
   */
  readonly partition: string;
  /** Sequence number of the last record taken, −1 before the first; grows by at least 1 a record; below 2⁵³. */
  readonly sequence: number;
  /** What the source itself needs to resume behind that record, opaque to the stage. */
  readonly token?: string | undefined;
  /** Marks of records up to here by which the source knows them again. */
  readonly taken?: Marks | undefined;
}

/** Marks that are kept beside a position. */
export interface Marks {
  readonly marks: BigUint64Array;
  /** The first of them that earlier positions have brought, and that are stored already; 0 replaces what is stored. */
  readonly stored: number;
}

/** Why a record is no event: a code for machines and a sentence for people. */
export interface Rejection {
  readonly code: string;
  readonly reason: string;
}

/** A record that could not become an event. */
export interface DeadLetter extends Rejection {
  readonly partition: string;
  readonly sequence: number;
  /** The user it names, as far as that could be read. */
  readonly user?: string | undefined;
  /** The original record. */
  readonly raw: string;
}

/** What is kept of a record that became a dead letter. */
export interface KeptRecord extends DeadLetter {
  /** Epoch ms. */
  readonly rejectedAt: number;
  /** Key and headers as text. Dead letters do not keep them; who tries a record may give them. */
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What weights mean; the part of a state's semantics that concerns one event. */
export interface WeightRules {
  readonly interactions: 'binary' | 'last' | 'sum';
  /** Fixed-point units in a weight of 1. */
  readonly scale: number;
  /** Interactions are clamped to this weight; `binary` has no use for it. */
  readonly maxWeight?: number | undefined;
}

/** How the numbers in `ts` are read. */
export interface TimeRules {
  /** What they count; `auto` tells by their size. */
  readonly unit: 'auto' | 'counter' | 'days' | 's' | 'ms' | 'us' | 'ns';
  /** Events dated further ahead of the clock are refused. */
  readonly maxAheadMs: number;
}

/**
 * Records of one partition as a source read them, mapped to fields but not yet validated: a structure of arrays, `length` long.
 * A field the source does not have is left out.
 */
export interface RecordBatch {
  readonly length: number;
  readonly partition: string;
  /** Sequence number of each record, ascending. Events of one record follow one another and have the same. */
  readonly sequence: ArrayLike<number>;
  readonly user: ArrayLike<unknown>;
  readonly item: ArrayLike<unknown>;
  readonly weight?: ArrayLike<unknown> | undefined;
  readonly op?: ArrayLike<unknown> | undefined;
  readonly ts?: ArrayLike<unknown> | undefined;
  readonly id?: ArrayLike<unknown> | undefined;
  /** Without them, units are told by size and a day ahead is allowed. Dates and ISO 8601 need no unit. */
  readonly times?: TimeRules | undefined;
  /** Records that the source could not make fields of, by their index. */
  readonly rejected?: ReadonlyMap<number, Rejection> | undefined;
  /** Records, and parts of them, that the source has left out because they are not meant to be events, by reason. */
  readonly skipped?: ReadonlyMap<string, number> | undefined;
  /** The original bytes of record `k`, kept with a dead letter. */
  raw(k: number): string;
}

/** Events that a source has decoded itself, in the form of a system that the state understands. */
export interface DecodedEvents {
  /** The system, such as `duckdb`. */
  readonly system: string;
  readonly length: number;
}

/** Who takes the events of a source: a state that understands those of `system`, and reads weights by `weights`. */
export interface Taker {
  readonly system: string;
  readonly weights: WeightRules;
  /** Where a source may make files of events, which the state takes over. */
  readonly directory: string;
}

/** Records of one partition and where they end. */
export interface PartitionBatch {
  /** Records that are to be decoded. */
  readonly records: RecordBatch;
  /** Events of other records of the batch, whose sequence numbers lie among those of `records`. */
  readonly decoded?: DecodedEvents | undefined;
  readonly position: Position;
}

/** One read: records of one or more partitions, taken in together, and how to acknowledge them once they are durable. */
export interface Read {
  readonly batches: readonly PartitionBatch[];
  /** Tells the source that the records are in the state. Advisory: the state's positions decide. */
  ack(): Promise<void>;
}

/** Sequence number of the last record that a partition has now. */
export interface PartitionEnd {
  readonly partition: string;
  readonly end: number;
}

/** What is known of the place of a row in the stream that it came from. */
export type HistoryPlaces =
  /** Columns with the number of its partition, and its sequence number there. */
  | { readonly partition: string; readonly offset: string }
  /** A column with the time at which it was written there; the stream itself is read from `before` on (epoch ms). */
  | { readonly timestamp: string; readonly before: number };

/** The past of a stream, which another source has. */
export interface History {
  /** Name of that source. */
  readonly source: string;
  /** The stream, whose partitions are `<stream>/<number>`. An id of an event is known in the stream and its history alike. */
  readonly stream: string;
  readonly places: HistoryPlaces;
  /** Of `shards` shards, the one whose partitions are read. */
  readonly shard: number;
  readonly shards: number;
}

/** What became of records that were sent to a source. */
export type SentOutcome =
  /** They are in the state; so many of them as dead letters, the first for this reason. */
  | {
      readonly kind: 'taken';
      readonly records: number;
      readonly deadLetters: number;
      readonly reason?: string;
    }
  /** Nothing of them was taken: too much waits, nobody reads now, the type of the body, or what is wrong with it. */
  | { readonly kind: 'busy' | 'closed' }
  | { readonly kind: 'foreign' | 'faulty'; readonly reason: string };

/** Takes records that others send, by HTTP for example. */
export interface Intake {
  /** What a sender has to know, if it is not what everybody has to who changes something. */
  readonly token?: string | undefined;
  readonly maxRequestBytes: number;
  /** Takes the records of one request all together, or none; resolves once they are in the state. */
  take(contentType: string, body: Buffer): Promise<SentOutcome>;
}

/** A stream of interaction events. `connect`, then `read` until it returns nothing, then `close`. */
export interface Source {
  readonly name: string;
  /** Whether `read` may be called again before what it returned is acknowledged. */
  readonly readsAhead?: boolean;
  /** Whether `read` waits a while for records to come, so that a source with nothing new is best kept open. */
  readonly waits?: boolean;
  /** What must be in the state before this source is read. */
  readonly history?: History | undefined;
  /** Of a stream that its writer ends: whether it has. Until then, who takes in all there is goes on reading. */
  readonly ended?: boolean | undefined;
  /** Of a source that records are sent to. */
  readonly intake?: Intake;
  /**
   * Opens the source behind the given positions (one a partition; none on a new state). `state` is the id of the
   * state that the records go into, for a source that must not feed two states.
   */
  connect(positions: readonly Position[], state?: string): Promise<void>;
  /**
   * Called before `connect` for a source that can decode: `read` may then give events instead of records, exactly those
   * that the stage would make of them.
   */
  decodeFor?(taker: Taker): void;
  /**
   * Called before `connect` for a source that has the history of a stream. It then gives the rows that the stream had
   * when it was first read, and no later ones, as records of the partition `history.stream`.
   */
  becomeHistory?(history: History): void;
  /** Of a history that was read to its end: where the partitions of the stream go on. None if a time says that. */
  historyEnds?(): readonly PartitionEnd[];
  /**
   * The next records, or `undefined` when there are none now (a later call may find some). May wait for the
   * system behind it, but not after `signal` aborts.
   */
  read(signal?: AbortSignal): Promise<Read | undefined>;
  /**
   * Hears of the dead letters of a read before they are stored, to pass them on. A crash in between makes it hear of
   * them again.
   */
  reject?(dead: readonly DeadLetter[]): Promise<void>;
  /**
   * Makes records of dead letters of one partition again, from what was kept of them, by ascending sequence. Keys and headers
   * are not kept, and long records not whole: such records have no fields again.
   */
  decodeAgain?(letters: readonly KeptRecord[]): Promise<RecordBatch>;
  /** A probe of the system behind it, which tells where the partitions end now. */
  openProbe?(): Probe<readonly PartitionEnd[]>;
  /** What came up since this was last called that a person should know: records that will never be read, say. */
  warnings?(): readonly string[];
  close(): Promise<void>;
}
