import type { LeavingUser, Remainder } from '../../src/contracts/index.js';
import type { SegmentFile } from '../../src/gramian/segment.js';
import { noRows } from '../../src/matrix/rows.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar, transaction } from './database.js';
import { hourOf } from './migrations.js';
import { insertSegment, readSegments } from './state/segments.js';

/** Makes the temporary table `leaving` of the items that no row of `used` names; returns them by ascending id. */
export async function findLeaving(
  connection: DuckDBConnection,
  used: string,
): Promise<{ readonly ids: Int32Array; readonly keys: readonly string[] }> {
  await connection.run(`CREATE OR REPLACE TEMP TABLE leaving AS
    SELECT id, key FROM items ANTI JOIN (${used}) used ON used.item = items.id`);
  const rows = await all<{ id: number; key: string }>(connection, 'FROM leaving ORDER BY id');
  return { ids: Int32Array.from(rows, r => r.id), keys: rows.map(r => r.key) };
}

/**
 * Removes the items in `leaving`, with their rows; the ids of those behind them close the gaps. Ids keep their order, and
 * rows theirs. Part of the caller's transaction.
 */
export async function closeGaps(connection: DuckDBConnection): Promise<void> {
  const renumber = (table: string) => [
    `CREATE TABLE renumbered AS SELECT x."user", n.id AS item, x.reset, x.value, x.ts, x.channel, x.sequence
     FROM ${table} x JOIN numbers n ON n.old = x.item`,
    `DROP TABLE ${table}`,
    `ALTER TABLE renumbered RENAME TO ${table}`,
  ];
  for (const sql of [
    `CREATE OR REPLACE TEMP TABLE numbers AS
     SELECT id AS old, (row_number() OVER (ORDER BY id) - 1)::INTEGER AS id FROM items ANTI JOIN leaving USING (id)`,
    ...renumber('interactions'),
    ...renumber('recent'),
    'DELETE FROM items WHERE id IN (SELECT id FROM leaving)',
    'UPDATE items SET id = n.id FROM numbers n WHERE items.id = n.old AND n.id <> n.old',
    // Files of rows and of items have the old ids; merges make them anew.
    "DELETE FROM lookups WHERE name <> 'users'",
    'DROP TABLE numbers',
    'DROP TABLE leaving',
  ])
    await connection.run(sql);
}

/** Registers what takes the place of `old` segments and of models; part of the caller's transaction. */
export async function takeRemainder(
  connection: DuckDBConnection,
  old: readonly SegmentFile[],
  { segment, models }: Remainder,
): Promise<void> {
  if (segment) {
    await connection.run('DELETE FROM segments');
    for (const { file } of old) await connection.run('INSERT INTO retired VALUES (?)', [file]);
    await insertSegment(connection, segment);
  }
  for (const manifest of models)
    await connection.run('UPDATE models SET manifest = ? WHERE version = ?', [
      JSON.stringify(manifest),
      manifest.version,
    ]);
}

/**
 * Takes the items that are in nobody's history out of the dictionary, in one transaction, if they are `enough`; returns
 * their keys. What is known of removals of theirs is set aside in `departed`, for events that come late.
 */
export async function dropUnused(
  connection: DuckDBConnection,
  enough: (unused: number, items: number) => boolean,
  build: (leaving: LeavingUser) => Promise<Remainder>,
): Promise<readonly string[]> {
  const used = 'SELECT DISTINCT item FROM matrix';
  const n = Number(await scalar(connection, 'SELECT count(*) FROM items'));
  const unused = n - Number(await scalar(connection, `SELECT count(*) FROM (${used})`));
  if (unused === 0 || !enough(unused, n)) return [];
  return transaction(connection, async () => {
    const { ids, keys } = await findLeaving(connection, used);
    const segments = await readSegments(connection);
    const remainder = await build({ row: noRows(n), dropped: ids, segments });
    failpoint('leave:built');
    await connection.run(`INSERT INTO departed
      SELECT key, x.* EXCLUDE (item), ${hourOf(Date.now())} FROM leaving JOIN (
        FROM recent UNION ALL FROM interactions ANTI JOIN recent USING ("user", item)) x ON x.item = leaving.id`);
    await takeRemainder(connection, segments, remainder);
    await closeGaps(connection);
    failpoint('leave:registered');
    return keys;
  });
}

/** Gives items that come again, those of the table `fresh` (id, key), the rows that were set aside. */
export async function takeBack(connection: DuckDBConnection): Promise<void> {
  if (Number(await scalar(connection, 'SELECT count(*) FROM departed')) === 0) return;
  await connection.run(`INSERT INTO recent
    SELECT "user", fresh.id, reset, value, ts, channel, sequence FROM departed JOIN fresh ON fresh.key = departed.item`);
  await connection.run('DELETE FROM departed WHERE item IN (SELECT key FROM fresh)');
}
