import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { scalar, transaction } from './database.js';
import type { Lookups } from './lookups.js';

/** States below this many rows are read as fast without files. */
const smallRows = 100_000;
/** `recent` is merged when it has this share of all rows; a batch that is larger than this share of it waits. */
const share = 16;

/** Whether it is time to merge after a fold of `events`: rows that come in bulk are merged when they have come. */
export async function mergeIsDue(
  connection: DuckDBConnection,
  lookups: Lookups,
  events: number,
): Promise<boolean> {
  const count = async (table: string) => Number(await scalar(connection, `SELECT count(*) FROM ${table}`));
  const [recent, settled] = [await count('recent'), await count('interactions')];
  if (recent + settled < smallRows) return false;
  const there = await lookups.there(connection);
  return events * share <= (there ? recent : recent + settled) && (!there || recent * share > settled);
}

/** Merges `recent` into `interactions`, sorted by user; lookup files end. Part of the caller's transaction. */
export async function mergeInto(connection: DuckDBConnection): Promise<void> {
  for (const sql of [
    'DELETE FROM lookups',
    `CREATE TABLE merged AS SELECT * FROM recent UNION ALL
       SELECT * FROM interactions ANTI JOIN recent USING ("user", item) ORDER BY "user", item`,
    'DROP TABLE interactions',
    'ALTER TABLE merged RENAME TO interactions',
    'DELETE FROM recent',
    `DELETE FROM changes WHERE rowid NOT IN (
       SELECT rowid FROM changes QUALIFY row_number() OVER (PARTITION BY key ORDER BY change DESC) = 1)`,
  ])
    await connection.run(sql);
}

/** Merges `recent` into `interactions` and makes the lookup files of it. */
export async function mergeRecent(connection: DuckDBConnection, lookups: Lookups): Promise<void> {
  await transaction(connection, async () => {
    await mergeInto(connection);
    await lookups.build(connection);
    failpoint('merge:built');
  });
  await lookups.tidy(connection);
}
