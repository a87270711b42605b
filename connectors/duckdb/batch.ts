import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { useErasedIds } from './erased-ids.js';
import { hourOf, streamOf } from './migrations.js';

/** Drops temporary tables. */
export const drop = (connection: DuckDBConnection, ...tables: string[]) =>
  connection.run(tables.map(t => `DROP TABLE ${t}`).join('; '));

/**
 * Drops the events of the batch whose id their stream has brought before, and notes the ids of the others. Returns how
 * many were dropped.
 */
export async function dropRepeated(connection: DuckDBConnection): Promise<number> {
  await connection.run(`CREATE OR REPLACE TEMP TABLE identified AS
    SELECT seq, id, source, ${streamOf('part')} AS stream FROM batch JOIN positions USING (channel) WHERE id IS NOT NULL`);
  await useErasedIds(connection);
  await connection.run(
    'CREATE OR REPLACE TEMP TABLE known_ids AS SELECT * FROM event_ids SEMI JOIN identified USING (id)',
  );
  const dropped = await all(
    connection,
    `DELETE FROM batch WHERE seq IN (
       SELECT i.seq FROM identified i JOIN known_ids e ON e.id = i.id AND e.source = i.source AND e.stream = i.stream
       UNION SELECT i.seq FROM identified i JOIN known_ids e ON e.id = i.id AND e.source IS NULL
       UNION SELECT seq FROM identified
         QUALIFY row_number() OVER (PARTITION BY id, source, stream ORDER BY seq) > 1) RETURNING seq`,
  );
  await connection.run(
    `INSERT INTO event_ids SELECT id, source, stream, ${hourOf(Date.now())} FROM identified SEMI JOIN batch USING (seq)`,
  );
  await drop(connection, 'identified', 'known_ids');
  return dropped.length;
}

/** Counts the events of a fold, and those of them that were repeated. */
export async function countFolded(
  connection: DuckDBConnection,
  events: number,
  repeated: number,
): Promise<void> {
  const counted = `UPDATE folded SET events = events + ${events}, repeated = repeated + ${repeated}`;
  if (Number(await scalar(connection, counted)) === 0)
    await connection.run(`INSERT INTO folded VALUES (${events}, ${repeated})`);
}
