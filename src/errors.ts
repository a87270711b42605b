/**
 * The one error class of the stage, and the one table of what can go wrong.
 *
 * `exit` is the process exit code of the CLI (1 failed, 2 bad usage or configuration), `retryable` says
 * whether the same call may succeed later without a person doing anything, and `remedy` is what that
 * person should do otherwise.
 */
const table = {
  CONFIG_INVALID: {
    exit: 2,
    retryable: false,
    remedy: 'correct the named setting; `sansa-stream validate` checks a file',
  },
  USAGE: { exit: 2, retryable: false, remedy: 'see `sansa-stream --help`' },
  DATA_INVALID: {
    exit: 1,
    retryable: false,
    remedy: 'correct the input; the message names the column and the row',
  },
  SOURCE_UNREADABLE: {
    exit: 1,
    retryable: true,
    remedy: 'check the path, the permissions and the query of the source',
  },
  ACCESS_REFUSED: {
    exit: 1,
    retryable: false,
    remedy: 'check the user name, the password or certificate, and what that user is permitted to do',
  },
  RECORDS_LOST: {
    exit: 1,
    retryable: false,
    remedy: 'restore the records, or set `onLostRecords: reset` to record the gap and go on behind it',
  },
  GROUP_TAKEN: {
    exit: 2,
    retryable: false,
    remedy: 'give each state a consumer group of its own; `adoptGroup: true` takes a group over on purpose',
  },
  SINK_FAILED: {
    exit: 1,
    retryable: true,
    remedy: 'check that the sink is reachable and has room, then publish again',
  },
  SINK_TOO_SMALL: {
    exit: 1,
    retryable: false,
    remedy: 'raise `maxBytes` of the sink, lower `publish.k`, or use `mode: inplace`',
  },
  STATE_LOCKED: {
    exit: 1,
    retryable: true,
    remedy: 'stop the other process on this state directory, or wait for it',
  },
  STATE_CORRUPT: {
    exit: 1,
    retryable: false,
    remedy: 'run `sansa-stream verify`; restore the named file or rebuild from the sources',
  },
  STATE_UNWRITABLE: {
    exit: 1,
    retryable: false,
    remedy: 'free space on the disk of the state, or mend it, and start again: the state is whole',
  },
  STATE_MISMATCH: {
    exit: 2,
    retryable: false,
    remedy: 'use the settings the state was made with, or a new state directory',
  },
  STATE_EMPTY: { exit: 1, retryable: true, remedy: 'ingest and fold events first' },
  OVERFLOW: {
    exit: 1,
    retryable: false,
    remedy:
      'lower the weights or `weightScale`, or set `userWeighting` to 0, which leaves 4096 times the room: Gramian sums must stay below 2^53',
  },
  MEMORY_BUDGET: {
    exit: 2,
    retryable: false,
    remedy:
      'raise `memory` (and `database.memoryLimit`, if it is set), or make the model smaller (`density`, `neighbours`, `rank`) or use fewer threads',
  },
  INTERACTIONS_NEEDED: {
    exit: 2,
    retryable: false,
    remedy: 'fit on one state instead of several, or choose another `solver`',
  },
  JOB_TIMEOUT: {
    exit: 1,
    retryable: false,
    remedy: 'raise `timeoutMs` of the job under `schedule`, or find out what it waits for',
  },
  NOT_POSITIVE_DEFINITE: {
    exit: 1,
    retryable: false,
    remedy: 'raise `l2`: the shifted Gramian stayed indefinite after the last retry',
  },
  TOLERANCE_EXCEEDED: {
    exit: 1,
    retryable: false,
    remedy: 'inspect the dead letters, correct the producer or raise `deadLetters.tolerance`',
  },
  UNKNOWN_ID: { exit: 1, retryable: false, remedy: 'check the spelling of the identifier' },
  MODEL_UNKNOWN: {
    exit: 1,
    retryable: false,
    remedy: 'run `sansa-stream fit` first, or name an existing version',
  },
  VERSION_UNKNOWN: {
    exit: 1,
    retryable: false,
    remedy: 'see `sansa-stream models list` for the versions in the sinks, or publish the model again',
  },
  INTERRUPTED: { exit: 1, retryable: true, remedy: 'start again: the state is whole' },
  INTERNAL: { exit: 1, retryable: false, remedy: 'please report this with the command and the log' },
} as const;

/** A key of the error table. */
export type ErrorCode = keyof typeof table;

/** Every key of the error table. */
export const errorCodes = Object.keys(table) as readonly ErrorCode[];

/** Whether a text is a key of the error table. */
export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(table, text);

/** The remedy of errors that have none of their own. */
export const remedyOf = (code: ErrorCode): string => table[code].remedy;

/** An error whose message says what was expected, what was found and where; `remedy` says what to do. */
export class StageError extends Error {
  readonly code: ErrorCode;
  /** What the operator should do: the code's remedy, unless this error has a better one. */
  readonly remedy: string;
  /** Also one of another copy of this package, as a connector of one's own may bring it. */
  static override [Symbol.hasInstance](x: unknown): x is StageError {
    return x instanceof Error && x.name === 'StageError' && 'code' in x && isErrorCode(String(x.code));
  }
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; remedy?: string }) {
    super(message, options);
    this.name = 'StageError';
    this.code = code;
    this.remedy = options?.remedy ?? table[code].remedy;
  }
  /** Whether the same call may succeed later without anybody changing anything. */
  get retryable(): boolean {
    return table[this.code].retryable;
  }
  /** Exit code of a process that ends with this error: 1 failed, 2 bad usage or configuration. */
  get exitCode(): number {
    return table[this.code].exit;
  }
}

/** A disk that is full, failing or not to be written to, as the system says it; DuckDB writes nothing more after that. */
const diskError =
  /No space left on device|Disk quota exceeded|Input\/output error|Read-only file system|File too large|database has been invalidated/;
const diskCodes = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EFBIG']);

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Whether a disk failed: an error of Node, or the text of DuckDB or LMDB. */
export const isOfDisk = (error: unknown): boolean =>
  diskCodes.has((error as NodeJS.ErrnoException)?.code ?? '') || diskError.test(textOf(error));

/** Whether the system did not permit it, now or where it began: an error of Node, or the text of DuckDB or LMDB. */
export const isDenied = (error: unknown): boolean =>
  ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException)?.code ?? '') ||
  /Permission denied|Operation not permitted/.test(textOf(error)) ||
  (error instanceof Error && error.cause !== undefined && isDenied(error.cause));

/** What the system does not permit. */
export const denied = (message: string, cause: unknown): StageError =>
  new StageError('ACCESS_REFUSED', message, {
    cause,
    remedy: 'give the user of this process the right to read and write there, and start it again',
  });

/** What DuckDB says when it has no more memory. */
const outOfMemory = /^Out of Memory Error: (.*)/;

/** Whether something failed because it does not fit its memory: less of it may. */
export const lacksMemory = (error: unknown): boolean =>
  error instanceof StageError
    ? error.code === 'MEMORY_BUDGET'
    : error instanceof Error && outOfMemory.test(error.message);

/** `error` as a `StageError`: itself if it is one, else wrapped under `code` with its first line as the message. */
export function toStageError(error: unknown, code: ErrorCode = 'INTERNAL', where?: string): StageError {
  if (error instanceof StageError) return error;
  const line = textOf(error).split('\n', 1)[0]!;
  const room = outOfMemory.exec(line)?.[1];
  if (room !== undefined)
    return new StageError(
      'MEMORY_BUDGET',
      `the database: ${room}; expected it to do with \`database.memoryLimit\``,
      {
        cause: error,
      },
    );
  // Failures of sources and sinks have codes of their own: these are of the state, which all the rest writes to.
  if (code === 'INTERNAL' && isOfDisk(error))
    return new StageError('STATE_UNWRITABLE', `the state could not be written: ${line}`, { cause: error });
  if (code === 'INTERNAL' && isDenied(error)) return denied(line, error);
  return new StageError(code, where ? `${where}: ${line}` : line, { cause: error });
}
