import type { Sink } from '../contracts/sink.js';
import { StageError } from '../errors.js';

/** Does one thing in all sinks and waits for all of them. Their failures become one `SINK_FAILED`. */
export async function inAll<S extends Sink | { readonly sink: Sink }, T>(
  sinks: readonly S[],
  what: string,
  run: (sink: S, k: number) => Promise<T>,
): Promise<T[]> {
  const outcomes = await Promise.allSettled(sinks.map(async (sink, k) => run(sink, k)));
  const name = (s: S): string => ('sink' in s ? s.sink.name : s.name);
  const failures = outcomes.flatMap((outcome, k) =>
    outcome.status === 'rejected' ? [{ name: name(sinks[k]!), reason: outcome.reason as unknown }] : [],
  );
  if (failures.length === 0) return outcomes.map(o => (o as PromiseFulfilledResult<T>).value);
  const found = failures.map(f => `${f.name}: ${message(f.reason)}`).join('; ');
  throw new StageError('SINK_FAILED', `expected every sink to ${what}, found ${found}`, {
    cause: failures[0]!.reason,
  });
}

/** The message of anything that was thrown. */
export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
