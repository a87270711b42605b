/**
 * Where a state may be made and what opening one leaves behind: nothing of others is touched, nothing is half made, and
 * reading changes nothing.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';
import { columnsOf } from '../../support/events.js';

const semantics = semanticsOptions.parse({});
const open = (directory: string, access?: 'read' | 'write') => openState(directory, semantics, {}, access);
const hash = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

it.each(['write', 'read'] as const)('refuses to %s a state among files of somebody else', async access => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'models/my-llm'), { recursive: true });
  for (const name of ['a.txt', 'b.txt', 'c.txt']) writeFileSync(join(directory, name), name);
  await expect(open(directory, access)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(
      /expected a state or an empty directory, found a.txt, b.txt, c.txt and 1 more/,
    ),
  });
  expect(readdirSync(directory).sort()).toEqual(['a.txt', 'b.txt', 'c.txt', 'models']);
});

it('refuses a database that is no state', async () => {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'state.duckdb'), 'CREATE TABLE sales (x INTEGER)');
  await expect(open(directory)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(/found a database with the table sales/),
  });
});

it('makes a state beside what a first open that died has left', async () => {
  const directory = temporaryDirectory();
  const left = join(directory, 'state.duckdb.00000000-0000-4000-8000-000000000000.new');
  writeFileSync(left, 'half');
  writeFileSync(`${left}.wal`, 'half');
  mkdirSync(join(directory, 'lost+found'));
  mkdirSync(join(directory, 'spilled'));
  await (await open(directory)).close();
  const made = ['gramian', 'lost+found', 'models', 'spilled', 'state.duckdb'];
  expect(readdirSync(directory).sort()).toEqual(made);
});

it('gives a state its name when it is whole: a first open that fails leaves none', async () => {
  const directory = temporaryDirectory();
  const failing = { ...semantics, interactions: undefined as never };
  await expect(openState(directory, failing, {})).rejects.toThrow();
  expect(readdirSync(directory).filter(name => /^state\.duckdb(\.wal)?$/.test(name))).toEqual([]);
  await (await open(directory)).close();
  expect(readdirSync(directory).sort()).toEqual(['gramian', 'models', 'state.duckdb']);
});

it('removes what the DuckDB of a process that died has spilled, and nothing of others', async () => {
  const directory = temporaryDirectory();
  const given = join(temporaryDirectory(), 'spills');
  const limits = [{}, { tempDirectory: given }];
  await (await open(directory)).close();
  for (const limit of limits) await (await openState(directory, semantics, limit)).close();
  const own = `sansa-stream-${createHash('sha256').update(directory).digest('hex').slice(0, 16)}`;
  const left = 'duckdb_temp_storage_DEFAULT-0.tmp';
  const places = [join(directory, 'tmp'), join(directory, 'tmp.of-one-opening'), join(given, own)];
  for (const at of [...places, join(given, 'sansa-stream-of-another')]) {
    mkdirSync(at);
    writeFileSync(join(at, left), 'rows');
  }
  writeFileSync(join(given, left), 'of another program');
  for (const limit of limits) await (await openState(directory, semantics, limit, 'read')).close();
  expect(existsSync(join(directory, 'tmp', left))).toBe(true);
  for (const limit of limits) await (await openState(directory, semantics, limit)).close();
  for (const at of places) expect(existsSync(at), at).toBe(false);
  expect(readdirSync(given).sort()).toEqual([left, 'sansa-stream-of-another']);
});

it.each([
  ['no table', []],
  ['a table', ['CREATE TABLE settings (key VARCHAR, value VARCHAR)']],
  [
    'tables of an older format and some settings',
    [
      'CREATE TABLE settings (key VARCHAR, value VARCHAR)',
      'CREATE TABLE models (version VARCHAR)',
      'CREATE TABLE interactions ("user" INTEGER, item INTEGER, value BIGINT)',
      'CREATE VIEW matrix AS SELECT * FROM interactions',
      "INSERT INTO settings VALUES ('format', '1'), ('interactions', 'sum')",
    ],
  ],
])('a file with %s is a new state', async (_, statements) => {
  const directory = temporaryDirectory();
  await runSql(join(directory, 'state.duckdb'), ...statements);
  const first = await open(directory);
  await first.close();
  const second = await open(directory);
  expect(second.id).toBe(first.id);
  expect(await second.models()).toEqual([]);
  await second.close();
});

it('reads where there is no state, and makes none', async () => {
  const directory = join(temporaryDirectory(), 'nowhere');
  const state = await open(directory, 'read');
  expect(await state.counts()).toMatchObject({ inbox: 0, users: 0, interactions: 0 });
  expect(await state.models()).toEqual([]);
  await state.close();
  expect(existsSync(directory)).toBe(false);
});

it('reads a state, also one that died with a log, and changes no byte of it', async () => {
  const directory = temporaryDirectory();
  const state = await open(directory);
  const position = { partition: 'p', sequence: 1 };
  const events = columnsOf([{ user: 'u', item: 'x' }], 0);
  await state.append('s', [{ events, dead: [], position }]);
  await state.startRun('fold', 'cli');
  const copy = temporaryDirectory();
  // As a process that dies leaves it: what was committed last is in the log alone.
  for (const name of ['state.duckdb', 'state.duckdb.wal'])
    writeFileSync(join(copy, name), readFileSync(join(directory, name)));
  await state.close();
  const before = readdirSync(copy).map(name => hash(join(copy, name)));
  const readers = await Promise.all([open(copy, 'read'), open(copy, 'read')]);
  for (const reader of readers) {
    expect(await reader.pending()).toBe(1);
    expect(await reader.runs(1)).toMatchObject([{ status: 'running' }]);
    await reader.close();
  }
  expect(readdirSync(copy).map(name => hash(join(copy, name)))).toEqual(before);
  const writer = await open(copy);
  expect(await writer.runs(1)).toMatchObject([{ status: 'interrupted' }]);
  await writer.close();
});
