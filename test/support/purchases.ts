import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineOptions } from '#jobs/index.js';
import { runSql } from './duckdb.js';

/**
 * Purchases with a pattern that a model can find: user u (of 120) buys, in order of time, eight items of group u mod 4
 * and one of no group; an hour passes from one to the next.
 */
export const purchases = `SELECT row_number() OVER (ORDER BY step, u) AS line, 'u' || u AS "user",
    CASE WHEN step = 8 THEN 'x' || (u * 7) % 10 ELSE 'g' || u % 4 || '-' || (u // 4 * 3 + step) % 15 END AS item,
    make_timestamp(1767225600000000 + (step * 120 + u) * 3600000000) AS ts
  FROM range(120) t(u), range(9) s(step)`;

/** Writes `w.duckdb` with the table `events`, and `pipeline.yaml` over it; returns the path of that. */
export async function purchasesPipeline(directory: string, options: PipelineOptions = {}): Promise<string> {
  await runSql(join(directory, 'w.duckdb'), `CREATE TABLE events AS ${purchases}`);
  const settings: PipelineOptions = {
    sources: [
      { type: 'duckdb', name: 'events', database: 'w.duckdb', query: 'SELECT * FROM events', cursor: 'line' },
    ],
    fit: { density: 0.3, l2: 2 },
    ...options,
  };
  const path = join(directory, 'pipeline.yaml');
  writeFileSync(path, JSON.stringify(settings));
  return path;
}
