import { toStageError } from '../errors.js';
import { champion, type Sink } from './sink.js';

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

/** Says what a sink holds. */
export async function lookAtSink(sink: Sink): Promise<string> {
  const { pointers, versions } = await sink.contents();
  return `${versions.length} versions, current ${pointers.get(champion) ?? 'none'}`;
}
