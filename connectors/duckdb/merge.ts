import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
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

/** Rows that are sorted at once: some 100 MB. */
const sortedRows = 1_000_000;

/** Bounds of ranges of users that have some `sortedRows` rows each. */
async function ranges(connection: DuckDBConnection): Promise<number[]> {
  const rows = await all<{ first: number; rows: bigint }>(
    connection,
    `SELECT min("user") AS first, count(*) AS rows
     FROM (SELECT "user" FROM recent UNION ALL SELECT "user" FROM interactions) GROUP BY "user" // 1024 ORDER BY 1`,
  );
  const bounds = [0];
  let sum = 0;
  for (const r of rows) {
    if (sum > 0 && sum + Number(r.rows) > sortedRows) {
      bounds.push(r.first);
      sum = 0;
    }
    sum += Number(r.rows);
  }
  return [...bounds, 2 ** 31 - 1];
}

/** Merges `recent` into `interactions`, sorted by user; lookup files end. Part of the caller's transaction. */
export async function mergeInto(connection: DuckDBConnection): Promise<void> {
  await connection.run('DELETE FROM lookups');
  await connection.run('CREATE TABLE merged AS SELECT * FROM interactions LIMIT 0');
  const bounds = await ranges(connection);
  for (const [k, from] of bounds.slice(0, -1).entries()) {
    const part = (table: string) =>
      `(SELECT * FROM ${table} WHERE "user" >= ${from} AND "user" < ${bounds[k + 1]})`;
    await connection.run(`INSERT INTO merged SELECT * FROM ${part('recent')} UNION ALL
      SELECT * FROM ${part('interactions')} ANTI JOIN ${part('recent')} USING ("user", item) ORDER BY "user", item`);
  }
  for (const sql of [
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
