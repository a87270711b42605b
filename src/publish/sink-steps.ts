import type { ListKind, Publication, SinkVersion } from '../contracts/sink.js';
import { denied, type ErrorCode, isDenied, StageError } from '../errors.js';
import { parseSize } from '../size.js';

/** Why a sink refuses a step, as a whole sentence; `sinkSteps` adds where it was. */
export class Refusal extends Error {
  readonly code: ErrorCode;
  constructor(message: string, code: ErrorCode = 'SINK_FAILED') {
    super(message);
    this.code = code;
  }
}

/** Codes of sources and of the state: a sink that opens a file as they do has failed as a sink. */
const foreign = /^(SOURCE|STATE)_/;

/**
 * Returns a function that runs one step of a sink. A refusal that the step throws becomes a `StageError` with its code,
 * at `where`; anything else becomes one that says what was expected, found and where: `ACCESS_REFUSED` if the system did
 * not permit it, else `SINK_FAILED`.
 */
export function sinkSteps(where: string) {
  return async function step<T>(expected: string, run: () => T | Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof StageError && !foreign.test(error.code)) throw error;
      const found = error instanceof Error ? error.message.split('\n', 1)[0]! || error.name : String(error);
      if (error instanceof Refusal) throw new StageError(error.code, `${where}: ${found}`, { cause: error });
      const message = `expected ${expected}, found ${found}, where ${where}`;
      throw isDenied(error)
        ? denied(message, error)
        : new StageError('SINK_FAILED', message, { cause: error });
    }
  };
}

/** Why `alias`, which names `found`, may not be pointed at `version`: see `Sink.point`. */
export function unexpected(
  alias: string,
  found: string | undefined,
  version: string,
  expected: string | null | undefined,
): Refusal | undefined {
  if (expected === undefined || (found ?? null) === expected || found === version) return undefined;
  return new Refusal(
    `${alias} names ${found ?? 'nothing'} instead of ${expected ?? 'nothing'}: somebody else has moved it`,
  );
}

/** Throws what is `unexpected`. */
export function assertExpected(...move: Parameters<typeof unexpected>): void {
  const refusal = unexpected(...move);
  if (refusal) throw refusal;
}

/** Another publisher has the lease. */
export const refused = (owner: string): Refusal =>
  new Refusal(`publisher ${owner} is writing here; wait until it has ended or its lease has run out`);

/** This publisher no longer has the lease. */
export const leaseLost = (): Refusal =>
  new Refusal('the lease was lost, because this publisher was silent for too long; publish again');

/** `version` cannot be begun, because it is there. */
export const completeAlready = (version: string): Refusal =>
  new Refusal(`version ${version} is complete already; publish under another version`);

/** `version` can be neither pointed at nor amended. */
export const notComplete = (version: string): Refusal =>
  new Refusal(`version ${version} is not there or unfinished; publish it first`);

/** A version lacks lists or vectors that its manifest counts. */
export const listsMissing = (
  version: string,
  kind: ListKind | 'vectors',
  found: number,
  counted: number,
): Refusal => {
  const what = kind === 'vectors' ? kind : `lists of ${kind}`;
  return new Refusal(`version ${version} has ${found} of its ${counted} ${what}; publish it again`);
};

/** The sink is not open. */
export const notConnected = (): Refusal => new Refusal('the sink is not connected; call `connect` first');

/** A step that belongs to a version came without one. */
export const notBegun = (): Refusal => new Refusal('no version was begun; call `begin` first');

/** What a sink keeps and takes, by its settings. */
export const limitsOf = ({
  keep,
  maxBytes,
}: {
  readonly keep: number;
  readonly maxBytes?: string | undefined;
}) => ({
  keep,
  ...(maxBytes === undefined ? {} : { maxBytes: parseSize(maxBytes, 'maxBytes') }),
});

/** A publication as sinks store it, with how many lists it holds. */
export type StoredPublication = Publication & Pick<SinkVersion, 'lists'>;

/** What `Sink.versions` tells of a stored publication, under the version whose keys hold it. */
export const sinkVersion = (
  { publishedAt, ordinal, createdAt, lists, vectors, model, content, change, ...manifest }: StoredPublication,
  complete = true,
  version = manifest.version,
): SinkVersion => ({
  version,
  publishedAt: publishedAt ?? createdAt,
  ordinal,
  complete,
  lists,
  ...(vectors && { vectors }),
  model,
  content,
  change,
});
