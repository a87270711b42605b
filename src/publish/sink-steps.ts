import { StageError } from '../errors.js';

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

/** For messages: another publisher has the lease. */
export const refused = (owner: string): Error =>
  new Error(`that publisher ${owner} is writing here; wait until it has ended or its lease has run out`);
