/**
 * A query that DuckDB cannot sort in the memory of its source is read in portions: every row once, in order. One that
 * cannot even be counted in it is refused, and a stop ends whatever DuckDB is at.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { type Room, roomOfCsv } from '#connectors/duckdb/room.js';
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

const sourceOf = (directory: string, query: string, room: Room) =>
  createDuckdbSource(
    duckdbSourceOptions.parse({ type: 'duckdb', query, cursor: 'n', checkMs: 0 }),
    directory,
    room,
  );

it('refuses CSV whose buffers do not fit, and says which memory would do', async () => {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, 'events.csv'), 'user,item\nu,a\nv,b\n');
  const from = (file: string) => `SELECT row_number() OVER () AS n, * FROM ${file}`;
  const room = { memoryBytes: 49 * 2 ** 20, budgetFor: (bytes: number) => 2 * bytes };
  const refused = sourceOf(directory, from("'events.csv'"), room);
  await refused.connect([]);
  await expect(refused.read()).rejects.toMatchObject({
    code: 'MEMORY_BUDGET',
    message: expect.stringMatching(/memory: 192MiB.*buffer_size/),
  });
  for (const [query, memoryBytes] of [
    [from("read_csv('events.csv', buffer_size = 4000000)"), room.memoryBytes],
    [from("'events.csv'"), roomOfCsv],
  ] as const) {
    const source = sourceOf(directory, query, { memoryBytes });
    await source.connect([]);
    expect((await source.read())!.batches[0]!.records.user).toEqual(['u', 'v']);
    await source.close();
  }
});

it('a stop interrupts what DuckDB is at', async () => {
  const query = `SELECT n, hash(n) AS "user", n AS item FROM range(400000000) rows(n) ORDER BY hash(n)`;
  const directory = temporaryDirectory();
  const room = { memoryBytes: 2 ** 27, spills: join(directory, 'spilled') };
  const source = sourceOf(directory, query, room);
  await source.connect([]);
  const stop = new AbortController();
  const read = source.read(stop.signal);
  setTimeout(() => stop.abort(), 1000);
  const began = Date.now();
  await expect(read).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(Date.now() - began).toBeLessThan(15_000);
  await source.close();
}, 60_000);
