import type { SkippedCount } from '../../src/contracts/index.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';

/** Counts lie among the settings: a row a source, named after it, with a count for each reason. */
const prefix = 'skipped:';

/** Adds to the counts of what a source has left out; part of the caller's transaction. */
export async function countSkipped(
  connection: DuckDBConnection,
  source: string,
  skipped: ReadonlyMap<string, number>,
): Promise<void> {
  if (skipped.size === 0) return;
  const key = `${prefix}${source}`;
  const known = await scalar(connection, 'SELECT value FROM settings WHERE key = ?', [key]);
  const counts = JSON.parse(known ? String(known) : '{}') as Record<string, number>;
  for (const [reason, n] of skipped) counts[reason] = (counts[reason] ?? 0) + n;
  await connection.run('DELETE FROM settings WHERE key = ?', [key]);
  await connection.run('INSERT INTO settings VALUES (?, ?)', [key, JSON.stringify(counts)]);
}

/** What the sources have left out since the state was made. */
export async function skippedCounts(connection: DuckDBConnection): Promise<readonly SkippedCount[]> {
  const rows = await all<{ key: string; value: string }>(
    connection,
    `SELECT key, value FROM settings WHERE starts_with(key, '${prefix}') ORDER BY key`,
  );
  return rows.flatMap(({ key, value }) =>
    Object.entries(JSON.parse(value) as Record<string, number>).map(([reason, count]) => ({
      source: key.slice(prefix.length),
      reason,
      count,
    })),
  );
}
