/** A query that DuckDB cannot sort in the memory of its source is read in portions: every row once, in order. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import { temporaryDirectory } from '../../support/directory.js';

const rows = 300_000;

it('reads every row once, by ascending cursor, and refuses when the least portion does not fit', async () => {
  const directory = temporaryDirectory();
  const file = join(directory, 'events.parquet');
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(`COPY (SELECT 'user-' || (n % 999) AS "user", 'item-' || n AS item, n // 3 AS n, md5(n::VARCHAR) AS note
    FROM range(${rows}) rows(n) ORDER BY hash(n)) TO '${file}' (FORMAT parquet, ROW_GROUP_SIZE 10000)`);
  const options = { type: 'duckdb', query: "SELECT * FROM 'events.parquet'", cursor: 'n', checkMs: 0 };
  const read = async (mebibytes: number) => {
    const room = { memoryBytes: mebibytes * 2 ** 20, spills: join(directory, 'spilled') };
    const source = createDuckdbSource(duckdbSourceOptions.parse(options), directory, room);
    await source.connect([]);
    const items: number[] = [];
    for (let next = await source.read(); next; next = await source.read())
      for (const { records } of next.batches)
        for (let k = 0; k < records.length; k++) items.push(Number(String(records.item[k]).slice(5)));
    return items;
  };
  const items = await read(20);
  expect(items.length).toBe(rows);
  expect(new Set(items).size).toBe(rows);
  expect(items.every((n, k) => k === 0 || Math.floor(n / 3) >= Math.floor(items[k - 1]! / 3))).toBe(true);
  await expect(read(4)).rejects.toMatchObject({ code: 'MEMORY_BUDGET' });
}, 120_000);
