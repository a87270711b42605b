import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createDuckdbSink, duckdbSinkOptions } from '#connectors/duckdb/sink.js';
import type { ListKind, RankedList } from '#src/contracts/index.js';
import { sinkSuite } from '../../support/sink-suite.js';

const sinkOn = (path: string) =>
  createDuckdbSink(duckdbSinkOptions.parse({ type: 'duckdb', database: join(path, 'feeds.duckdb') }));

/** Reads a list as any other program would: by the pointer, from the rows. */
async function read(path: string, kind: ListKind, id: string): Promise<RankedList | undefined> {
  const instance = await DuckDBInstance.create(join(path, 'feeds.duckdb'));
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(
    `SELECT item, score FROM lists JOIN lists_pointers p USING (version)
     WHERE p.alias = 'champion' AND kind = $kind AND id = $id ORDER BY rank`,
    { kind, id },
  );
  const [items = [], scores = []] = reader.getColumnsJS() as [string[], number[]];
  connection.closeSync();
  instance.closeSync();
  return items.length > 0 ? { id, items, scores } : undefined;
}

sinkSuite('duckdb', sinkOn, { read, keepsEmptyLists: false });
