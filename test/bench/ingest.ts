import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPipeline } from '../../jobs/index.js';
import { type BenchOptions, dataSet, median } from './environment.js';

/** Events through inbox, fold and stored Gramian: events a second to a folded state, and what lies on disk. */
export async function benchIngest({ data, runs, log }: BenchOptions): Promise<object> {
  const name = 'amazon-books-scale';
  const { train } = dataSet(data, name);
  const measured = [];
  for (let run = 0; run < runs; run++) {
    const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-ingest-'));
    const pipeline = await createPipeline({
      state: directory,
      sources: [{ type: 'duckdb', query: `SELECT "user", item FROM '${train.replaceAll("'", "''")}'` }],
      gramian: { mode: 'stored' },
    });
    try {
      const started = performance.now();
      const { events } = await pipeline.ingest();
      const ingested = performance.now();
      await pipeline.fold();
      const folded = performance.now();
      const segments = await pipeline.parts.store.segments();
      const m = {
        events,
        ingestSeconds: (ingested - started) / 1000,
        foldSeconds: (folded - ingested) / 1000,
        eventsPerSecond: events / ((folded - started) / 1000),
        segments: segments.length,
        entries: segments.reduce((s, x) => s + x.nnz, 0),
        bytes: segments.reduce((s, x) => s + x.bytes, 0),
      };
      measured.push(m);
      log(
        `${name}: ${Math.round(m.eventsPerSecond)} events/s (ingest ${m.ingestSeconds.toFixed(1)} s, fold ${m.foldSeconds.toFixed(1)} s), ${m.segments} segments`,
      );
    } finally {
      await pipeline.close();
      rmSync(directory, { recursive: true });
    }
  }
  return { set: name, runs, eventsPerSecond: median(measured.map(m => m.eventsPerSecond)), measured };
}
