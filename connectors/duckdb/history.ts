import type { History, PartitionEnd } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { all } from './database.js';
import { quoted } from './project.js';

/** Columns that say where in the stream a row was. */
export function placesOf(history: History | undefined): readonly string[] {
  if (!history || !('offset' in history.places)) return [];
  return [history.places.partition, history.places.offset];
}

/**
 * Where each partition of the stream ends in its history now; nothing if a time bounds it. `SOURCE_UNREADABLE` if a row
 * does not say where it was in the stream.
 */
export async function findEnds(
  connection: DuckDBConnection,
  from: string,
  { places, stream, shard, shards }: History,
  where: string,
): Promise<readonly PartitionEnd[]> {
  const columns = 'offset' in places ? [places.partition, places.offset] : [places.timestamp];
  const unplaced = columns.map(c => `${quoted(c)} IS NULL`).join(' OR ');
  const [row] = await all(connection, `SELECT count(*) AS rows FROM ${from} WHERE ${unplaced}`);
  if (Number(row!.rows) > 0)
    throw new StageError(
      'SOURCE_UNREADABLE',
      `${where}: ${row!.rows} rows have no ${columns.join(' or ')}: nobody knows whether they are before the place from which ${stream} is read`,
      { remedy: 'leave them out in the query, or fill the column' },
    );
  if (!('offset' in places)) return [];
  const number = `${quoted(places.partition)}::BIGINT`;
  const ends = await all(
    connection,
    `SELECT ${number} AS number, max(${quoted(places.offset)}::BIGINT) AS last FROM ${from}
     WHERE ${number} % ${shards} = ${shard} GROUP BY ALL ORDER BY ALL`,
  );
  return ends.map(r => ({ partition: `${stream}/${r.number}`, end: Number(r.last) }));
}

/** The rows of the history up to `ends`, or before a time, for FROM. */
export async function rowsBefore(
  connection: DuckDBConnection,
  from: string,
  { places, stream }: History,
  ends: readonly PartitionEnd[],
): Promise<string> {
  if ('offset' in places) {
    const number = ({ partition }: PartitionEnd) => partition.slice(stream.length + 1);
    const up = ends.map(e => `WHEN ${number(e)} THEN ${quoted(places.offset)}::BIGINT <= ${e.end}`);
    const within =
      up.length === 0 ? 'false' : `CASE ${quoted(places.partition)}::BIGINT ${up.join(' ')} ELSE false END`;
    return `(SELECT * FROM ${from} WHERE ${within})`;
  }
  const column = quoted(places.timestamp);
  const described = await all(connection, `DESCRIBE SELECT ${column} FROM ${from}`);
  const isNumber = /INT$/.test(String(described[0]!.column_type));
  const before = isNumber ? String(places.before) : `make_timestamp(${places.before}::BIGINT * 1000)`;
  return `(SELECT * FROM ${from} WHERE ${column} < ${before})`;
}
