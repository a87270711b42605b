/**
 * The contracts between the stage and the systems around it. `src/` knows only these; `connectors/`
 * implements them, one folder a system.
 */
/** Where to resume reading one partition of a source. */
export interface Position {
  readonly partition: string;
  /** Sequence number of the last record taken, −1 before the first; grows by at least 1 a record; below 2⁵³. */
  readonly sequence: number;
  /** What the source itself needs to resume behind that record, opaque to the stage. */
  readonly token?: string | undefined;
}

/** Why a record is no event: a code for machines and a sentence for people. */
export interface Rejection {
  readonly code: string;
  readonly reason: string;
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
  /** Sequence number of each record, ascending. */
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
  /** The original bytes of record `k`, kept with a dead letter. */
  raw(k: number): string;
}

/** Records of one partition and where they end. */
export interface PartitionBatch {
  readonly records: RecordBatch;
  readonly position: Position;
}

/** One read: records of one or more partitions, taken in together, and how to acknowledge them once they are durable. */
export interface Read {
  readonly batches: readonly PartitionBatch[];
  /** Tells the source that the records are in the state. Advisory: the state's positions decide. */
  ack(): Promise<void>;
}

/** A stream of interaction events. `connect`, then `read` until it returns nothing, then `close`. */
export interface Source {
  readonly name: string;
  /** Whether `read` may be called again before what it returned is acknowledged. */
  readonly readsAhead?: boolean;
  /** Whether `read` waits a while for records to come, so that a source with nothing new is best kept open. */
  readonly waits?: boolean;
  /**
   * Opens the source behind the given positions (one a partition; none on a new state). `state` is the id of the
   * state that the records go into, for a source that must not feed two states.
   */
  connect(positions: readonly Position[], state?: string): Promise<void>;
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
  /** What came up since this was last called that a person should know: records that will never be read, say. */
  warnings?(): readonly string[];
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
export interface DeadLetter extends Rejection {
  readonly partition: string;
  readonly sequence: number;
  /** The user it names, as far as that could be read. */
  readonly user?: string | undefined;
  /** The original record. */
  readonly raw: string;
}

export * from './sink.js';
export type * from './state.js';
