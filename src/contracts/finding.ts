import { toStageError } from '../errors.js';
import type { Sink } from './sink.js';

/** One line of a check of everything that a pipeline needs. */
export interface Finding {
  /** What was looked at: `state`, `source sales`, … */
  readonly what: string;
  readonly ok: boolean;
  /** What was found. */
  readonly found: string;
  /** What to do, when it is not as it should be. */
  readonly remedy?: string | undefined;
}

/** Looks at one thing: `look` tells what it found, or throws what is wrong. */
export async function examine(what: string, look: () => string | Promise<string>): Promise<Finding> {
  try {
    return { what, ok: true, found: await look() };
  } catch (error) {
    const { message, remedy } = toStageError(error);
    return { what, ok: false, found: message.replaceAll('\n', '; '), remedy };
  }
}

/** Opens a sink and says what it holds. */
export async function lookAtSink(sink: Sink): Promise<string> {
  await sink.connect();
  try {
    const versions = await sink.versions();
    return `${versions.length} versions, current ${(await sink.current()) ?? 'none'}`;
  } finally {
    await sink.close();
  }
}
