/** The contract of the durable state: inbox, interactions, Gramian segments, and the ledger of what was done. */

import type { TimedRows } from '../evaluate/split.js';
import type { Frame } from '../gramian/frame.js';
import type { GramianState } from '../gramian/plan.js';
import type { SegmentFile } from '../gramian/segment.js';
import type { Histories, RowChanges, Rows } from '../matrix/rows.js';
import type { TunedOptions } from '../tune/tune.js';
import type { LeavingUser, PendingErasure, Receipt, Remainder } from './erasure.js';
import type { Manifest } from './manifest.js';
import type { Outdated, Retention } from './retention.js';
import type { Signal, SignalRecord, SignalResult } from './signal.js';
import type { DeadLetter, DecodedEvents, KeptRecord, Position, Taker } from './source.js';

export type { Histories };

/** What one fold did. */
export interface FoldSummary {
  /** Events taken out of the inbox. */
  readonly events: number;
  /** Users whose row was touched. */
  readonly users: number;
  /** Segment that was added, if the Gramian is stored and anything changed. */
  readonly segment: SegmentFile | undefined;
  /** Half-lives by which the landmark has to come nearer before these events fit; nothing was folded then. */
  readonly rise?: number | undefined;
}

/** What a move of the frame did. */
export interface FrameMove {
  /** Users some of whose interactions began or ceased to count. */
  readonly users: number;
  /** Half-lives by which the landmark has to be nearer; nothing was done then. */
  readonly rise?: number | undefined;
}

/** Turns the rows before and after a change into a segment file; `undefined` when there is nothing to store. */
export type BuildSegment = (changes: RowChanges) => Promise<SegmentFile | undefined>;

/** Sizes of the state. */
export interface StateCounts {
  readonly inbox: number;
  readonly deadLetters: number;
  /** Events that were dropped because their stream had brought their id before. */
  readonly repeated: number;
  readonly users: number;
  readonly items: number;
  /** Nonzeros of X. */
  readonly interactions: number;
  /** Whether X has values other than 1. */
  readonly valued: boolean;
  /** Σ d_u² over users, the pairs that one pass over XᵀX visits. */
  readonly pairs: number;
  /** The latest time of an event that is folded, or waits in the table of the inbox (epoch ms). */
  readonly newestEvent: number | undefined;
  /** Interactions, of `sum` events, that are too old to count. */
  readonly aged: number;
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
  /** Error code of a failure. */
  readonly code?: string | undefined;
}

/** One execution of a job. */
export interface RunRecord {
  readonly id: number;
  readonly job: string;
  /**
   * What started it: `cli`, `cron:<due>`, `events:<time or count>`, `drift:<of>:<count>`, `query:<time>`, `signal:<source>:<id>`; for the publication that
   * follows a refit `refit:<version>`, for the fresh lists that follow a fold `follow:<its trigger>:<events folded>`;
   * or a name that the caller gave.
   */
  readonly trigger: string;
  readonly status: 'running' | RunOutcome['status'];
  /** Epoch ms. */
  readonly startedAt: number;
  readonly finishedAt: number | undefined;
  readonly detail: string;
  readonly version: string | undefined;
  /** Error code of a failure, if the ledger has it. */
  readonly code?: string | undefined;
}

/** Which runs are asked for: of one job, or since a time (epoch ms). */
export interface RunFilter {
  readonly job?: string | undefined;
  readonly since?: number | undefined;
}

/** Which dead letters are asked for: of one source or code, or since a time (epoch ms). */
export interface DeadLetterFilter {
  readonly source?: string | undefined;
  readonly code?: string | undefined;
  readonly since?: number | undefined;
}

/** A dead letter as the state keeps it. */
export interface KeptDeadLetter extends KeptRecord {
  readonly source: string;
}

/** The dead letters of one source and code: how many, and the times of the first and the last (epoch ms). */
export interface DeadLetterCount {
  readonly source: string;
  readonly code: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

/** Bounds of a query. */
export interface QueryBounds {
  /** Rows of the answer. */
  readonly rows: number;
  readonly timeoutMs: number;
}

/** The answer to a query: values as JSON has them; `truncated` where there were more rows. */
export interface QueryAnswer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly truncated: boolean;
}

/** Users whose history changed: those that have one, and the keys of those that have none any more. */
export interface ChangedUsers extends Histories {
  readonly gone: readonly string[];
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
  /** The newest runs, newest first. */
  runs(limit: number, filter?: RunFilter): Promise<readonly RunRecord[]>;
  /** The newest run of each job. */
  lastRuns(): Promise<readonly RunRecord[]>;
  models(): Promise<readonly ModelRecord[]>;
  markPublished(version: string): Promise<void>;
  /** Every version that lists were ever published under, and the content it stands for. */
  publications(): Promise<readonly { readonly version: string; readonly content: string }[]>;
  recordPublication(version: string, content: string): Promise<void>;
  /** Forgets a model; its files may be deleted then. */
  forgetModel(version: string): Promise<void>;
  /** When a scheduled job is due next (epoch ms), if the same expression was recorded. */
  due(job: string, expression: string): Promise<number | undefined>;
  setDue(job: string, expression: string, due: number): Promise<void>;
  /** Every recorded due time (epoch ms). */
  dueTimes(): Promise<readonly { readonly job: string; readonly expression: string; readonly due: number }[]>;
  /** Remembers a signal; returns its result if it has ended before. */
  claimSignal(source: string, signal: Signal): Promise<SignalResult | undefined>;
  finishSignal(source: string, result: SignalResult): Promise<void>;
  /** Results that the signal's source has not confirmed. */
  unreported(source: string): Promise<readonly SignalResult[]>;
  markReported(source: string, id: string): Promise<void>;
  /** The newest signals, newest first, with their results. */
  signals(limit: number): Promise<readonly SignalRecord[]>;
}

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

/** What became of the records of one partition, and where they end. */
export interface DecodedBatch {
  readonly events: EventColumns;
  readonly dead: readonly DeadLetter[];
  /** Events that the source has decoded itself, of the state's `system`. */
  readonly decoded?: DecodedEvents | undefined;
  readonly position: Position;
  /** What the source has left out, by reason. */
  readonly skipped?: ReadonlyMap<string, number> | undefined;
}

/** What a source has left out because it was not meant to be events, since the state was made. */
export interface SkippedCount {
  readonly source: string;
  readonly reason: string;
  readonly count: number;
}

/**
 * Everything durable except segment and model files. Each method is one transaction: after a crash at any
 * moment it has happened whole or not at all.
 */
export interface StateStore extends Ledger {
  /** Tells this state from every other one; the same for as long as it lives. */
  readonly id: string;
  /** Which decoded events it understands, if any, and where files of them may be made. */
  readonly takes?: Pick<Taker, 'system' | 'directory'> | undefined;
  positions(source: string): Promise<readonly Position[]>;
  /**
   * Appends events and dead letters and moves the positions, all in one transaction. Records at or behind the
   * stored position of their partition are dropped, so a replay changes nothing. Returns how many events were new.
   */
  append(source: string, batches: readonly DecodedBatch[]): Promise<number>;
  /**
   * Folds up to `limit` inbox events into the interactions; `build` makes the segment of the change. Events with which
   * Σ_u x_uj² of an item would pass `energy`, in units of X, become dead letters.
   */
  fold(
    limit: number,
    build: BuildSegment | undefined,
    energy: number,
    maxHistory?: number,
  ): Promise<FoldSummary>;
  /** The frame of X. */
  frame(): Promise<Frame>;
  /** The frame that the events call for which are taken in, with a landmark that is `rise` half-lives nearer. */
  nextFrame(rise?: number): Promise<Frame>;
  /**
   * Moves X to another frame, as a change of rows like any other: `build` makes its segment, where the decay stays. Without
   * it, the caller sees to the Gramian.
   */
  reframe(
    frame: Frame,
    build: BuildSegment | undefined,
    energy: number,
    maxHistory?: number,
  ): Promise<FrameMove>;
  /** Notes that a user is to be erased, so that an erasure that is cut off goes on; returns its hash. */
  beginErasure(user: string): Promise<string>;
  /** Takes a user out of everything the state has; `build` makes what the Gramian and the models are then. */
  eraseUser(
    hash: string,
    build: (leaving: LeavingUser) => Promise<Remainder>,
    maxHistory?: number,
  ): Promise<NonNullable<PendingErasure['erased']>>;
  /** Keeps the receipt in the place of the id, and writes the database into a new file: free pages are left behind. */
  finishErasure(receipt: Receipt): Promise<void>;
  /** Writes the database into a new file for erasures that were cut off before. */
  rewrite(): Promise<void>;
  pendingErasures(): Promise<readonly PendingErasure[]>;
  /** The receipts of a user, oldest first. */
  receipts(user: string): Promise<readonly Receipt[]>;
  /**
   * Takes the items that are in nobody's history out of the dictionary, if they are `enough` of all; returns their keys.
   * Items behind them get new ids; `build` makes the Gramian and the models in these.
   */
  dropUnused(
    enough: (unused: number, items: number) => boolean,
    build: (leaving: LeavingUser) => Promise<Remainder>,
  ): Promise<readonly string[]>;
  /**
   * The interaction matrix X: whole, or of each user the newest `maxHistory` items, by the time of the newest event of
   * each and, where that is the same, by its number in the dictionary.
   */
  interactions(maxHistory?: number): Promise<Rows>;
  /**
   * Hands X with a time for each entry to `use` and gives back its memory (12 to 16 bytes an entry) before returning. Its
   * entries lie in shared memory.
   */
  withTimes<T>(use: (rows: TimedRows) => Promise<T>): Promise<T>;
  /** Every user's history, `size` users at a time, by ascending user id. */
  histories(size: number): AsyncIterable<Histories>;
  /** How many users there are, with a history or without. */
  userCount(): Promise<number>;
  /** The number of the newest change of any history; 0 when nothing has changed since the state was made. */
  newestChange(): Promise<number>;
  /** Users whose histories changed after the change `since`, `size` at a time. */
  changedUsers(since: number, size: number): AsyncIterable<ChangedUsers>;
  /** The most popular items by the number of their users, `limit` at most. */
  popularItems(limit: number): Promise<Int32Array>;
  /** How many users have each item, by its number. */
  itemUsers(): Promise<Int32Array>;
  /** The history of one user by key, or `undefined`. */
  history(user: string): Promise<Rows | undefined>;
  /** Keys of the first `n` items by id; all without `n`. */
  itemKeys(n?: number): Promise<readonly string[]>;
  segments(): Promise<readonly SegmentFile[]>;
  /** Replaces `old` segments by `segment`, which is their sum (all of G, when it is rebuilt). */
  replaceSegments(old: readonly SegmentFile[], segment: SegmentFile | undefined): Promise<void>;
  /** Names of segment files and models that were registered once and are not any more: their files may be removed. */
  retired(): Promise<readonly string[]>;
  /** Forgets these names, once the files are gone. */
  clearRetired(): Promise<void>;
  /** How the Gramian is kept: stored segments sum to XᵀWX, no fold has been made without them. */
  gramian(): Promise<GramianState | undefined>;
  setGramian(state: GramianState): Promise<void>;
  /** The fit options that a search has put in the place of the configured ones. */
  tuned(): Promise<TunedOptions | undefined>;
  setTuned(tuned: TunedOptions | undefined): Promise<void>;
  /** With `maxHistory`, `pairs` are those of such rows. */
  counts(maxHistory?: number): Promise<StateCounts>;
  /** How many inbox events wait for a fold. */
  pending(): Promise<number>;
  /** How many events have been folded since the state was made. */
  folded(): Promise<number>;
  /**
   * Removes what is older than a retention allows; what is still needed stays. `undefined` where that was done in this
   * hour already.
   */
  removeOutdated(retention: Retention): Promise<Outdated | undefined>;
  /** The newest dead letters, newest first. */
  deadLetters(limit: number, filter?: DeadLetterFilter): Promise<readonly KeptDeadLetter[]>;
  deadLetterCounts(filter?: DeadLetterFilter): Promise<readonly DeadLetterCount[]>;
  skippedCounts(): Promise<readonly SkippedCount[]>;
  /** Puts events into the inbox in the place of the dead letters with their sequence numbers, which are deleted. */
  revive(source: string, partition: string, events: EventColumns): Promise<void>;
  /** Deletes dead letters; returns how many. */
  dropDeadLetters(filter: DeadLetterFilter): Promise<number>;
  /**
   * Answers one SELECT over the views of the state that are open to everybody. `USAGE` for anything else, and for a query
   * that fails or takes too much memory; `INTERRUPTED` for one that takes too long.
   */
  query(sql: string, bounds: QueryBounds, signal?: AbortSignal): Promise<QueryAnswer>;
  close(): Promise<void>;
}
