/** The contract of the places that commands come from. */

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

/** A signal as the ledger has it. */
export interface SignalRecord {
  readonly source: string;
  readonly id: string;
  readonly type: string;
  readonly status: 'running' | SignalResult['status'];
  readonly version?: string | undefined;
  readonly message: string;
  /** Epoch ms. */
  readonly requestedAt: number;
  readonly finishedAt: number | undefined;
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
