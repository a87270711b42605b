/**
 * The contracts between the stage and the systems around it. `src/` knows only these; `connectors/`
 * implements them, one folder a system.
 */
import type { GramianMode } from './gramian/plan.js';
import type { RowChanges, Rows } from './gramian/rows.js';
import type { SegmentFile } from './gramian/segment.js';
import type { Manifest } from './model/version.js';

/** Where to resume reading one partition of a source. */
export interface Position {
  readonly partition: string;
  /** Sequence number of the last record taken; grows by at least 1 a record. 0 ≤ sequence < 2⁵³. */
  readonly sequence: number;
  /** What the source itself needs to resume behind that record, opaque to the stage. */
  readonly token?: string | undefined;
}

/**
 * Records as a source read them, mapped to fields but not yet validated: a structure of arrays, `length` long.
 * A field the source does not have is left out.
 */
export interface RecordBatch {
  readonly length: number;
  readonly partition: string;
  /** Sequence number of each record, ascending. */
  readonly sequence: ArrayLike<number>;
  readonly user: ArrayLike<unknown>;
  readonly item: ArrayLike<unknown>;
  readonly weight?: ArrayLike<unknown> | undefined;
  readonly op?: ArrayLike<unknown> | undefined;
  readonly ts?: ArrayLike<unknown> | undefined;
  readonly id?: ArrayLike<unknown> | undefined;
  /** The original bytes of record `k`, kept with a dead letter. */
  raw(k: number): string;
}

/** One read: the records, where they end, and how to acknowledge them once they are durable. */
export interface Read {
  readonly records: RecordBatch;
  readonly position: Position;
  /** Tells the source that the records are in the state. Advisory: the state's positions decide. */
  ack(): Promise<void>;
}

/** A stream of interaction events. `connect`, then `read` until it returns nothing, then `close`. */
export interface Source {
  readonly name: string;
  /** Opens the source behind the given positions (one a partition; none on a new state). */
  connect(positions: readonly Position[]): Promise<void>;
  /**
   * The next records, or `undefined` when there are none now (a later call may find some). May wait for the
   * system behind it, but not after `signal` aborts.
   */
  read(signal?: AbortSignal): Promise<Read | undefined>;
  /** What came up since this was last called that a person should know: records that will never be read, say. */
  warnings?(): readonly string[];
  close(): Promise<void>;
}

/** A ranked list of items for one user or one item, best first. */
export interface RankedList {
  readonly id: string;
  readonly items: readonly string[];
  /** Score of each item, descending, same length as `items`. */
  readonly scores: ArrayLike<number>;
}

/** What a list is keyed by. */
export type ListKind = 'users' | 'items';

/**
 * A store of precomputed lists. A version is written whole (`begin`, `write`…, `finish`) and only then
 * pointed at (`point`); a reader reads the pointer first and so always sees one whole version.
 */
export interface Sink {
  readonly name: string;
  /** What the sink's own settings ask `prune` to keep; without it the publisher deletes nothing. */
  readonly keep?: number | undefined;
  connect(): Promise<void>;
  /** Starts, or starts over, version `manifest.version`; what an unfinished attempt left is discarded. */
  begin(manifest: Manifest): Promise<void>;
  write(kind: ListKind, lists: readonly RankedList[]): Promise<void>;
  /** Makes the version durable and complete. */
  finish(): Promise<void>;
  /** Switches the pointer to a finished version. Throws `SINK_FAILED` if that version is not complete. */
  point(version: string): Promise<void>;
  /** The version the pointer names. */
  current(): Promise<string | undefined>;
  /** The list of `id` in the current version. */
  get?(kind: ListKind, id: string): Promise<RankedList | undefined>;
  /** Deletes finished versions other than the current one and the `keep` newest. */
  prune?(keep: number): Promise<void>;
  close(): Promise<void>;
}

/** A command that came from outside, such as a row of a `signals` table. */
export interface Signal {
  readonly id: string;
  readonly type: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** What is wrong with it, if it could not be read as a command. */
  readonly problem?: string | undefined;
  /** Epoch ms. */
  readonly requestedAt: number;
}

/** How a signal ended. */
export interface SignalResult {
  readonly id: string;
  readonly status: 'done' | 'failed';
  /** Model version made or published, if any. */
  readonly version?: string | undefined;
  readonly message: string;
  /** Epoch ms. */
  readonly finishedAt: number;
}

/** Where signals come from and their outcomes go. Neither call waits for its system after `signal` aborts. */
export interface SignalSource {
  readonly name: string;
  /** Signals without a result, oldest first. */
  pending(signal?: AbortSignal): Promise<readonly Signal[]>;
  /** Records an outcome; recording the same id twice keeps one result. */
  resolve(result: SignalResult, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The part of a logger that the stage uses; pino satisfies it. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A logger that says nothing. */
export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** One validated event, fixed-point weight, as columns `length` long. */
export interface EventColumns {
  readonly length: number;
  readonly user: readonly string[];
  readonly item: readonly string[];
  /** Fixed-point weight, `round(weight × scale)` ≥ 0. */
  readonly weight: Int32Array;
  /** 0 add, 1 remove, 2 set. */
  readonly op: Uint8Array;
  /** Event time, epoch ms. */
  readonly ts: Float64Array;
  readonly id: readonly (string | null)[];
  readonly sequence: Float64Array;
}

/** A record that could not become an event. */
export interface DeadLetter {
  readonly partition: string;
  readonly sequence: number;
  readonly code: string;
  readonly reason: string;
  /** The user it names, as far as that could be read. */
  readonly user?: string | undefined;
  /** The original record. */
  readonly raw: string;
}

/** What one fold did. */
export interface FoldSummary {
  /** Events taken out of the inbox. */
  readonly events: number;
  /** Users whose row was touched. */
  readonly users: number;
  /** Segment that was added, if the Gramian is stored and anything changed. */
  readonly segment: SegmentFile | undefined;
}

/** Turns the rows before and after a change into a segment file; `undefined` when there is nothing to store. */
export type BuildSegment = (changes: RowChanges) => Promise<SegmentFile | undefined>;

/** Sizes of the state. */
export interface StateCounts {
  readonly inbox: number;
  readonly deadLetters: number;
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X. */
  readonly interactions: number;
  /** Whether X has values other than 1. */
  readonly valued: boolean;
  /** Σ d_u² over users, the pairs that one pass over XᵀX visits. */
  readonly pairs: number;
}

/** A finished model as the state knows it. */
export interface ModelRecord {
  readonly version: string;
  /** Epoch ms. */
  readonly createdAt: number;
  readonly manifest: Manifest;
  readonly published: boolean;
}

/** How a run ended. */
export interface RunOutcome {
  readonly status: 'done' | 'failed' | 'interrupted';
  readonly detail: string;
  /** Model version that was made or published. */
  readonly version?: string | undefined;
}

/** One execution of a job. */
export interface RunRecord {
  readonly id: number;
  readonly job: string;
  /**
   * What started it: `cli`, `cron:<due>`, `events:<time or count>`, `signal:<source>:<id>`, and for the
   * publication that follows a refit `refit:<version>`.
   */
  readonly trigger: string;
  readonly status: 'running' | RunOutcome['status'];
  /** Epoch ms. */
  readonly startedAt: number;
  readonly finishedAt: number | undefined;
  readonly detail: string;
  readonly version: string | undefined;
}

/** Histories of a few users, in the order of `keys`. */
export interface Histories {
  readonly keys: readonly string[];
  readonly rows: Rows;
}

/** The durable record of what was run, made and asked for. Each method is one transaction. */
export interface Ledger {
  /** Records that `job` starts for `trigger`. */
  startRun(job: string, trigger: string): Promise<{ readonly id: number }>;
  /** The run of `job` that ended, well or badly, for `trigger`: such a run is not made again. */
  endedRun(job: string, trigger: string): Promise<RunRecord | undefined>;
  /** The run that made a model. */
  madeBy(version: string): Promise<RunRecord | undefined>;
  /** Ends a run and, for a fit, registers its model, in one transaction. */
  endRun(id: number, outcome: RunOutcome, model?: Manifest): Promise<void>;
  runs(limit: number): Promise<readonly RunRecord[]>;
  models(): Promise<readonly ModelRecord[]>;
  markPublished(version: string): Promise<void>;
  /** When a scheduled job is due next (epoch ms), if the same expression was recorded. */
  due(job: string, expression: string): Promise<number | undefined>;
  setDue(job: string, expression: string, due: number): Promise<void>;
  /** Remembers a signal; returns its result if it has ended before. */
  claimSignal(source: string, signal: Signal): Promise<SignalResult | undefined>;
  finishSignal(source: string, result: SignalResult): Promise<void>;
  /** Results that the signal's source has not confirmed. */
  unreported(source: string): Promise<readonly SignalResult[]>;
  markReported(source: string, id: string): Promise<void>;
}

/**
 * Everything durable except segment and model files. Each method is one transaction: after a crash at any
 * moment it has happened whole or not at all.
 */
export interface StateStore extends Ledger {
  positions(source: string): Promise<readonly Position[]>;
  /**
   * Appends events and dead letters and moves the position. Records at or behind the stored position of
   * their partition are dropped, so a replay changes nothing. Returns how many events were new.
   */
  append(
    source: string,
    events: EventColumns,
    dead: readonly DeadLetter[],
    position: Position,
  ): Promise<number>;
  /** Folds up to `limit` inbox events into the interactions; `build` makes the segment of the change. */
  fold(limit: number, build: BuildSegment): Promise<FoldSummary>;
  /** Erases a user: history, inbox and dead letters; `build` makes the segment of the change. */
  forget(user: string, build: BuildSegment): Promise<FoldSummary>;
  /** The whole interaction matrix X. */
  interactions(): Promise<Rows>;
  /** Every user's history, `size` users at a time, by ascending user id. */
  histories(size: number): AsyncIterable<Histories>;
  /** The history of one user by key, or `undefined`. */
  history(user: string): Promise<Rows | undefined>;
  /** Keys of the first `n` items by id; all without `n`. */
  itemKeys(n?: number): Promise<readonly string[]>;
  segments(): Promise<readonly SegmentFile[]>;
  /** Replaces `old` segments by `segment`, which is their sum (all of G, when it is rebuilt). */
  replaceSegments(old: readonly SegmentFile[], segment: SegmentFile | undefined): Promise<void>;
  /** Whether the segments sum to XᵀX: no fold has been made without them. */
  gramianMode(): Promise<GramianMode | undefined>;
  setGramianMode(mode: GramianMode): Promise<void>;
  counts(): Promise<StateCounts>;
  /** How many inbox events wait for a fold. */
  pending(): Promise<number>;
  /** How many events have been folded since the state was made. */
  folded(): Promise<number>;
  deadLetters(limit: number): Promise<readonly (DeadLetter & { readonly source: string })[]>;
  close(): Promise<void>;
}
