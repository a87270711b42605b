import type { RunOutcome, RunRecord } from '../src/contracts/index.js';
import { isErrorCode, StageError } from '../src/errors.js';
import { redacted } from './secrets.js';

/** The job did its work, now or earlier for the same trigger. */
export interface Done<R> {
  readonly kind: 'done';
  /** One line for people. */
  readonly detail: string;
  /** Model version that was made or published. */
  readonly version?: string | undefined;
  /** Absent when the work was done earlier. */
  readonly result?: R;
  /** Figures of the run for the log and other observers. */
  readonly facts?: object;
  /** The job has ended its run in the ledger itself, in one transaction with its work. */
  readonly recorded?: true;
}

/** There was nothing to do, and the ledger has no run. */
export interface Idle<R> {
  readonly kind: 'idle';
  readonly result: R;
  /** One line for people. */
  readonly detail?: string;
  /** The model that is as new as one could be. */
  readonly version?: string | undefined;
}

/** The gate keeps a model from being published; the run counts as done. */
export interface Held {
  readonly kind: 'held';
  readonly reason: string;
}

/** The job failed, or was stopped (`INTERRUPTED`). */
export interface Failed {
  readonly kind: 'failed';
  readonly error: StageError;
}

/** How a job ended without an error. */
export type Outcome<R = unknown> = Done<R> | Idle<R> | Held;

/** How a run that began ended. */
export type RunEnd<R = unknown> = Done<R> | Held | Failed;

/** The result of a job, unless the work was done earlier. */
export const resultOf = <R>(outcome: Outcome<R>): R | undefined =>
  outcome.kind === 'held' ? undefined : outcome.result;

/** Begins the detail of a publication that the gate has stopped. */
const heldBack = 'held back: ';

/** The end of a run as the ledger keeps it. */
export function toLedger(end: RunEnd): RunOutcome {
  switch (end.kind) {
    case 'done':
      return { status: 'done', detail: end.detail, version: end.version };
    case 'held':
      return { status: 'done', detail: `${heldBack}${end.reason}` };
    case 'failed': {
      const { code, message } = end.error;
      const status = code === 'INTERRUPTED' ? 'interrupted' : 'failed';
      return { status, detail: redacted(message), code };
    }
  }
}

/** The end of a run that the ledger has as `done` or `failed`. A failure that was kept without a code is `INTERNAL`. */
export function fromLedger({ status, detail, version, code = '' }: RunRecord): Done<never> | Held | Failed {
  if (status === 'failed')
    return { kind: 'failed', error: new StageError(isErrorCode(code) ? code : 'INTERNAL', detail) };
  if (detail.startsWith(heldBack)) return { kind: 'held', reason: detail.slice(heldBack.length) };
  return { kind: 'done', detail, version };
}
