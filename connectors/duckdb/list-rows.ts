import type { ListKind, RankedList } from '../../src/contracts/sink.js';
import { BOOLEAN, type DuckDBConnection, DuckDBDataChunk, FLOAT, INTEGER, VARCHAR } from './client.js';

/** Rows of one DuckDB data chunk. */
const chunkRows = 2048;

/** Columns of a table of lists, one row for each item of a list; rank from 1, fallback where the item fills up. */
export const listColumns =
  'kind VARCHAR, id VARCHAR, rank INTEGER, item VARCHAR, score FLOAT, fallback BOOLEAN';
const types = [VARCHAR, VARCHAR, INTEGER, VARCHAR, FLOAT, BOOLEAN];

/** Appends lists to a table with `listColumns`; returns how many rows they are. */
export async function appendLists(
  connection: DuckDBConnection,
  table: string,
  kind: ListKind,
  lists: readonly RankedList[],
): Promise<number> {
  let rows = 0;
  const appender = await connection.createAppender(table);
  try {
    // One chunk for all: those that are no longer used stay until V8 collects, which knows nothing of their size.
    const chunk = DuckDBDataChunk.create(types);
    let columns: [string[], string[], number[], string[], number[], boolean[]] = [[], [], [], [], [], []];
    const flush = (): void => {
      if (columns[0].length === 0) return;
      chunk.reset();
      chunk.setColumns(columns);
      appender.appendDataChunk(chunk);
      rows += columns[0].length;
      columns = [[], [], [], [], [], []];
    };
    for (const { id, items, scores, fallback = 0 } of lists) {
      for (let k = 0; k < items.length; k++) {
        columns[0].push(kind);
        columns[1].push(id);
        columns[2].push(k + 1);
        columns[3].push(items[k]!);
        columns[4].push(scores[k]!);
        columns[5].push(k >= items.length - fallback);
        if (columns[0].length === chunkRows) flush();
      }
    }
    flush();
    return rows;
  } finally {
    appender.closeSync();
  }
}
