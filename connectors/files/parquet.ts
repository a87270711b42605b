import { join } from 'node:path';
import { BOOLEAN, type DuckDBAppender, DuckDBDataChunk, FLOAT, INTEGER, VARCHAR } from '@duckdb/node-api';
import type { ErasedIds } from '../../src/contracts/erasure.js';
import type { ListKind, RankedList } from '../../src/contracts/index.js';
import { Refusal } from '../../src/publish/sink-steps.js';
import { syncPath } from './durable.js';
import { chunkRows, openScratch, parquetOptions, text } from './scratch-database.js';
import type { ListWriter } from './writer.js';

/** Bytes of a row in memory, with ids as long as UUIDs. */
const rowBytes = 128;
const columns = 'id VARCHAR, rank INTEGER, item VARCHAR, score FLOAT, fallback BOOLEAN';

/**
 * Writes `users.parquet` and `items.parquet`: a row per list entry, `id`, `rank` (from 1), `item`, `score` and
 * `fallback` (whether the item fills up the list), in the order given; an empty list has no row. Rows wait in a DuckDB file beside them, so that memory stays within
 * `memoryBytes` however many there are.
 */
export async function parquetWriter(directory: string, memoryBytes: number): Promise<ListWriter> {
  const { connection, release } = await openScratch(join(directory, '.rows'), memoryBytes);
  await connection.run(`CREATE TABLE users (${columns}); CREATE TABLE items (${columns})`);
  const rows = {
    users: rowBuffer(await connection.createAppender('users')),
    items: rowBuffer(await connection.createAppender('items')),
  };
  return {
    async write(kind, lists) {
      for (const list of lists) rows[kind].push(list);
    },
    async finish() {
      for (const kind of ['users', 'items'] satisfies ListKind[]) {
        rows[kind].close();
        const file = join(directory, `${kind}.parquet`);
        const copied = await connection.runAndReadAll(
          `COPY ${kind} TO ${text(file)} ${parquetOptions(memoryBytes, rowBytes)}`,
        );
        const count = Number(copied.getRowsJS()[0]?.[0]);
        if (count !== rows[kind].count)
          throw new Refusal(`${file} has ${count} of ${rows[kind].count} rows; publish again`);
        await syncPath(file);
      }
      await release();
    },
    abandon: release,
  };
}

/** Gathers list entries into data chunks for one appender. */
function rowBuffer(appender: DuckDBAppender) {
  const chunk = DuckDBDataChunk.create([VARCHAR, INTEGER, VARCHAR, FLOAT, BOOLEAN], chunkRows);
  let ids: string[] = [];
  let ranks: number[] = [];
  let items: string[] = [];
  let scores: number[] = [];
  let fallbacks: boolean[] = [];
  let count = 0;
  function flush(): void {
    if (ids.length === 0) return;
    // Frees the strings of the last fill.
    chunk.reset();
    chunk.setColumns([ids, ranks, items, scores, fallbacks]);
    appender.appendDataChunk(chunk);
    count += ids.length;
    [ids, ranks, items, scores, fallbacks] = [[], [], [], [], []];
  }
  return {
    /** Rows that went to the appender. */
    get count() {
      return count;
    },
    push(list: RankedList): void {
      for (let k = 0; k < list.items.length; k++) {
        ids.push(list.id);
        ranks.push(k + 1);
        items.push(list.items[k]!);
        scores.push(list.scores[k]!);
        fallbacks.push(k >= list.items.length - (list.fallback ?? 0));
        if (ids.length === chunkRows) flush();
      }
    },
    close(): void {
      flush();
      appender.closeSync();
    },
  };
}

/** Copies a file of lists without the lists of erased ids and without erased items in others; counts both. */
export async function filterParquet(
  path: string,
  made: string,
  kind: ListKind,
  erased: ErasedIds,
  memoryBytes: number,
) {
  const among = (ids: readonly string[]) => (ids.length > 0 ? `IN (${ids.map(text).join()})` : 'IS NULL');
  const [gone, items] = [`id ${among(erased[kind])}`, `item ${among(erased.items)}`];
  const { connection, release } = await openScratch(made, memoryBytes);
  try {
    const from = `read_parquet(${text(path)}, file_row_number = true)`;
    const counted = await connection.runAndReadAll(
      `SELECT count(DISTINCT id) FILTER (${gone}), count(DISTINCT id) FILTER (NOT (${gone}) AND ${items}) FROM ${from}`,
    );
    const [deleted, rewritten] = counted.getRowsJS()[0]!.map(Number);
    await connection.run(
      `COPY (SELECT id, (row_number() OVER (PARTITION BY id ORDER BY rank))::INTEGER AS rank, item, score, fallback
         FROM ${from} WHERE NOT (${gone}) AND NOT (${items}) ORDER BY file_row_number)
       TO ${text(made)} ${parquetOptions(memoryBytes, rowBytes)}`,
    );
    await syncPath(made);
    return { deleted: deleted!, rewritten: rewritten! };
  } finally {
    await release();
  }
}
