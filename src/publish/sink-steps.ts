import type { Publication, SinkVersion } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { parseSize } from '../size.js';

/**
 * Returns a function that runs one step of a sink: what the step throws becomes a `SINK_FAILED` that says what was
 * expected, found and where.
 */
export function sinkSteps(where: string) {
  return async function step<T>(expected: string, run: () => T | Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof StageError) throw error;
      const found = error instanceof Error ? error.message.split('\n', 1)[0]! || error.name : String(error);
      throw new StageError('SINK_FAILED', `expected ${expected}, found ${found}, where ${where}`, {
        cause: error,
      });
    }
  };
}

/** What a pointer names when it is not what was expected, for messages. */
export const conflict = (alias: string, found: string, expected: string | null): Error =>
  new Error(
    `that ${alias} names ${found || 'nothing'} instead of ${expected ?? 'nothing'}: somebody else has moved it`,
  );

/** Throws `conflict` when `alias`, which names `found`, may not be pointed at `version`: see `Sink.point`. */
export function assertExpected(
  alias: string,
  found: string | undefined,
  version: string,
  expected: string | null | undefined,
): void {
  if (expected !== undefined && (found ?? null) !== expected && found !== version)
    throw conflict(alias, found ?? '', expected);
}

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
  { publishedAt, createdAt, lists, model, content, change, ...manifest }: StoredPublication,
  complete = true,
  version = manifest.version,
): SinkVersion => ({
  version,
  publishedAt: publishedAt ?? createdAt,
  complete,
  lists,
  model,
  content,
  change,
});

/** For messages: another publisher has the lease. */
export const refused = (owner: string): Error =>
  new Error(`that publisher ${owner} is writing here; wait until it has ended or its lease has run out`);
