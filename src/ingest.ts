import type { Source } from './connector.js';
import { StageError } from './errors.js';
import { decodeEvents } from './events.js';
import { failpoint } from './failpoint.js';
import type { PipelineParts } from './parts.js';

/** What one call of `ingest` took in. */
export interface IngestSummary {
  readonly events: number;
  readonly deadLetters: number;
}

/** Moves records from the sources into the inbox. */
export function createIngest({ store, scale, sources, options, log }: PipelineParts) {
  /** Reads one batch of `source` into the inbox: decode, append with the position, acknowledge. */
  async function ingestOnce(
    source: Source,
    signal?: AbortSignal,
  ): Promise<(IngestSummary & { read: number }) | undefined> {
    const read = await source.read(signal);
    if (!read) return undefined;
    failpoint('ingest:read');
    const { events, dead } = decodeEvents(read.records, scale);
    const fresh = await store.append(source.name, events, dead, read.position);
    await read.ack();
    failpoint('ingest:acknowledged');
    if (dead.length > 0) {
      const { code, reason } = dead[0]!;
      log.warn({ source: source.name, count: dead.length, code, reason }, 'records became dead letters');
    }
    return { events: fresh, deadLetters: dead.length, read: read.records.length };
  }

  /** Takes in everything the sources have now, or until `signal` aborts. Stops above the tolerance. */
  async function ingest(signal?: AbortSignal, progress?: (total: number) => void): Promise<IngestSummary> {
    let events = 0;
    let deadLetters = 0;
    let read = 0;
    for (const source of sources) {
      await source.connect(await store.positions(source.name));
      try {
        for (;;) {
          signal?.throwIfAborted();
          const batch = await ingestOnce(source, signal);
          if (!batch) break;
          events += batch.events;
          deadLetters += batch.deadLetters;
          read += batch.read;
          progress?.(read);
          assertTolerance(deadLetters, read);
        }
      } finally {
        await source.close();
      }
    }
    return { events, deadLetters };
  }

  function assertTolerance(deadLetters: number, read: number): void {
    const { tolerance } = options.deadLetters;
    const limit =
      tolerance < 1 ? Math.max(tolerance * read, read < 1000 ? Number.POSITIVE_INFINITY : 0) : tolerance;
    if (deadLetters > limit) {
      throw new StageError(
        'TOLERANCE_EXCEEDED',
        `${deadLetters} of ${read} records became dead letters, deadLetters.tolerance allows ${tolerance}`,
      );
    }
  }

  return { ingestOnce, ingest, assertTolerance };
}
