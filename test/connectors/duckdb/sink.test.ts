import { randomUUID } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDuckdbSink, duckdbSinkOptions } from '#connectors/duckdb/sink.js';
import type { ListKind, RankedList, Sink } from '#src/contracts/index.js';
import { publicationOf } from '#src/testing/index.js';
import { runSql } from '../../support/duckdb.js';
import { leaseSuite, publishOn, ranked, sinkSuite } from '../../support/sink-suite.js';

const sinkOn = (path: string, more: object = {}) =>
  createDuckdbSink(
    duckdbSinkOptions.parse({ type: 'duckdb', database: join(path, 'feeds.duckdb'), ...more }),
  );

const readAll = DuckDBConnection.prototype.runAndReadAll;

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

sinkSuite('duckdb', path => sinkOn(path), { read, keepsEmptyLists: false });
leaseSuite('duckdb', path => sinkOn(path, { leaseMs: 3000 }), { leaseMs: 3000, read });

describe('duckdb store', () => {
  let path: string;
  beforeEach(async () => {
    path = await mkdtemp(join(tmpdir(), 'duckdb-'));
  });
  afterEach(() => rm(path, { recursive: true, force: true }));

  it('removes what processes that died have made for its file', async () => {
    for (const end of ['new', 'new.wal'])
      writeFileSync(join(path, `feeds.duckdb.${randomUUID()}.${end}`), '');
    writeFileSync(join(path, 'feeds.duckdb.new'), '');
    const sink = sinkOn(path);
    await sink.contents();
    expect(readdirSync(path)).toHaveLength(3);
    await sink.connect();
    await sink.close();
    expect(readdirSync(path).sort()).toEqual(['feeds.duckdb', 'feeds.duckdb.new']);
  });

  it('keeps its lease when to take the rows over lasts longer than the lease', async () => {
    const sink = sinkOn(path);
    await sink.connect();
    await sink.begin(publicationOf('v1'));
    await sink.write('users', [ranked('x', ['a'])]);
    const insert = vi.spyOn(DuckDBConnection.prototype, 'runAndReadAll');
    const now = Date.now();
    insert.mockImplementation(async function (this: DuckDBConnection, ...query) {
      const found = await readAll.apply(this, query);
      if (query[0].startsWith('INSERT INTO "lists"')) vi.spyOn(Date, 'now').mockReturnValue(now + 3_600_000);
      return found;
    });
    try {
      await sink.finish();
      expect(Date.now()).toBe(now + 3_600_000);
      await sink.point('v1');
    } finally {
      vi.restoreAllMocks();
    }
    await sink.close();
    expect((await read(path, 'users', 'x'))?.items).toEqual(['a']);
  });

  it('holds several tables in one file, whatever their names, written at the same time', async () => {
    const tables = ['select', 'fresh', 'scratch', 'lists'];
    const sinks = tables.map(table => sinkOn(path, { table }));
    const each = <T>(run: (sink: Sink, table: string) => Promise<T>) =>
      Promise.all(sinks.map((sink, k) => run(sink, tables[k]!)));
    await each(sink => sink.connect());
    await each(sink => sink.begin(publicationOf('v1')));
    await each((sink, table) => sink.write('users', [{ ...ranked('x', [table, 'p']), fallback: 1 }]));
    await each(sink => sink.finish());
    await each(sink => sink.point('v1'));
    await each(sink => sink.amend!('v1', 'users', { lists: [ranked('y', ['a'])], gone: [] }));
    await each(sink => sink.close());
    expect(readdirSync(path)).toEqual(['feeds.duckdb']);
    const instance = await DuckDBInstance.create(join(path, 'feeds.duckdb'));
    const connection = await instance.connect();
    for (const table of tables) {
      const sql = `SELECT id, item, fallback FROM "${table}" WHERE version = 'v1' ORDER BY id, rank`;
      const rows = await connection.runAndReadAll(sql);
      expect(rows.getRowsJS(), table).toEqual([
        ['x', table, false],
        ['x', 'p', true],
        ['y', 'a', false],
      ]);
    }
    connection.closeSync();
    instance.closeSync();
  });

  it('points at no version that lacks rows, also after lists of it changed', async () => {
    const sink = sinkOn(path);
    await publishOn(sink, 'v1');
    await sink.connect();
    await sink.amend!('v1', 'users', { lists: [ranked('y', ['a', 'b'])], gone: ['x'] });
    await sink.point('v1', 'candidate');
    await sink.forget!({ users: [], items: ['b'] });
    await sink.point('v1', 'third');
    await runSql(join(path, 'feeds.duckdb'), "DELETE FROM lists WHERE id = 'y'");
    await expect(sink.point('v1')).rejects.toMatchObject({
      message: expect.stringContaining('version v1 has 1 of its 2 rows'),
    });
    await sink.close();
  });

  it('refuses a table that would stand beside another', () => {
    for (const table of ['lists_versions', 'a_POINTERS', 'b_lease', 'a b', ''])
      expect(() => sinkOn(path, { table }), table).toThrow(/table|name/);
  });
});
