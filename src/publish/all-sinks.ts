import type { Sink } from '../contracts/sink.js';
import { StageError, toStageError } from '../errors.js';

/**
 * Does one thing in all sinks and waits for all of them. Their failures become one, with the code of the first that no
 * retry mends, or else of the first; what is no `StageError` is a `SINK_FAILED`.
 */
export async function inAll<S extends Sink | { readonly sink: Sink }, T>(
  sinks: readonly S[],
  what: string,
  run: (sink: S, k: number) => Promise<T>,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(sinks.map(async (sink, k) => run(sink, k)));
  const name = (s: S): string => ('sink' in s ? s.sink.name : s.name);
  const failures = outcomes.flatMap((outcome, k) =>
    outcome.status === 'rejected'
      ? [{ name: name(sinks[k]!), error: toStageError(outcome.reason, 'SINK_FAILED') }]
      : [],
  );
  if (failures.length === 0) return outcomes.map(o => (o as PromiseFulfilledResult<T>).value);
  const found = failures.map(f => `${f.name}: ${f.error.message}`).join('; ');
  const { error } = failures.find(f => !f.error.retryable) ?? failures[0]!;
  throw new StageError(error.code, `expected every sink to ${what}, found ${found}`, {
    cause: error,
    remedy: error.remedy,
  });
}

/** The message of anything that was thrown. */
export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
