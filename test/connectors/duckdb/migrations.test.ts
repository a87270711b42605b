/** How a state's schema is checked, refused and brought to a newer format. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { all, openDatabase } from '#connectors/duckdb/database.js';
import { ensureSchema, type Semantics, semanticsOptions } from '#connectors/duckdb/schema.js';
import { openShard } from '#connectors/duckdb/shard.js';
import { openState } from '#connectors/duckdb/state.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf } from '../../support/events.js';

const semantics = (options: object): Semantics => semanticsOptions.parse(options);
const sum = semantics({ interactions: 'sum', maxWeight: 5 });

/** Runs SQL on the file of a state that nobody has open; the rows of the last statement. */
async function sql(directory: string, ...statements: readonly string[]) {
  const database = await openDatabase(join(directory, 'state.duckdb'));
  const connection = await database.connect();
  try {
    let rows: Record<string, unknown>[] = [];
    for (const s of statements) rows = await all(connection, s);
    return rows;
  } finally {
    connection.closeSync();
    database.closeSync();
  }
}

async function made(options = sum): Promise<string> {
  const directory = temporaryDirectory();
  await (await openState(directory, options)).close();
  return directory;
}

const everything = (directory: string) =>
  sql(
    directory,
    `SELECT view_name AS name, sql FROM duckdb_views() WHERE NOT internal
     UNION ALL SELECT table_name, sql FROM duckdb_tables()
     UNION ALL SELECT key, value FROM settings ORDER BY ALL`,
  );

it.each([
  ['another maxWeight', semantics({ interactions: 'sum', maxWeight: 2 }), /semantics.maxWeight/],
  ['other interactions', semantics({}), /semantics.interactions/],
])('%s: refused, and nothing is changed', async (_, other, message) => {
  const directory = await made();
  const before = await everything(directory);
  await expect(openState(directory, other)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(message),
  });
  expect(await everything(directory)).toEqual(before);
});

it.each([
  ['99', /written by a newer sansa-stream \(format 99\).*newer program/],
  ['0', /has the format "0", which no sansa-stream writes/],
  ['one', /has the format "one", which no sansa-stream writes/],
])('format %s: refused by name, and nothing is changed', async (format, message) => {
  const directory = await made();
  await sql(directory, `UPDATE settings SET value = '${format}' WHERE key = 'format'`, 'DROP TABLE folded');
  const before = await everything(directory);
  await expect(openState(directory, sum)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(message),
  });
  expect(await everything(directory)).toEqual(before);
  expect(readdirSync(directory).sort()).toEqual(['gramian', 'models', 'state.duckdb']);
});

/** Opens the schema with steps from format 1000 to 1002; the second one fails with `failing`. */
async function stepwise(directory: string, failing = false): Promise<string> {
  const database = await openDatabase(join(directory, 'state.duckdb'));
  const connection = await database.connect();
  try {
    return await ensureSchema(connection, join(directory, 'state.duckdb'), sum, [
      [1, 1000, async c => void (await c.run('CREATE TABLE never (x INTEGER)'))],
      [1000, 1001, async c => void (await c.run('ALTER TABLE folded ADD COLUMN note VARCHAR'))],
      [
        1001,
        1002,
        async c => void (await c.run(failing ? 'SELECT 1 FROM nowhere' : "UPDATE folded SET note = 'n'")),
      ],
    ]);
  } finally {
    connection.closeSync();
    database.closeSync();
  }
}

it('runs the steps from the stored format on, all or none, after a copy of the file', async () => {
  const directory = await made();
  await sql(
    directory,
    "UPDATE settings SET value = '1000' WHERE key = 'format'",
    'INSERT INTO folded VALUES (7, 0)',
  );
  const before = await everything(directory);
  await expect(stepwise(directory, true)).rejects.toThrow(/nowhere/);
  expect(await everything(directory)).toEqual(before);

  const id = await stepwise(directory);
  expect(await sql(directory, 'SELECT events, note FROM folded')).toEqual([{ events: 7n, note: 'n' }]);
  const settings = await sql(
    directory,
    "SELECT value FROM settings WHERE key IN ('format', 'id') ORDER BY key",
  );
  expect(settings).toEqual([{ value: '1002' }, { value: id }]);
  const copy = join(directory, 'state.duckdb.format-1000');
  expect(existsSync(copy)).toBe(true);
  const kept = await openDatabase(copy);
  const connection = await kept.connect();
  try {
    expect(await all(connection, 'SELECT * FROM folded')).toEqual([{ events: 7n, repeated: 0n }]);
    expect(await all(connection, 'SELECT count(*) AS n FROM matrix')).toEqual([{ n: 0n }]);
  } finally {
    connection.closeSync();
    kept.closeSync();
  }
});

/** A state of format 1 with four folded events of one stream (one id twice), one that waits, and two models. */
async function ofFormat1(): Promise<string> {
  const directory = temporaryDirectory();
  const packed = readFileSync(join(import.meta.dirname, '../../support/state-format-1.duckdb.gz'));
  writeFileSync(join(directory, 'state.duckdb'), gunzipSync(packed));
  return directory;
}
const unweighted = semantics({ interactions: 'sum', weightScale: 1 });

it('opens a state of format 1: all that was in it, and a copy beside it', async () => {
  const directory = await ofFormat1();
  const state = await openState(directory, unweighted);
  try {
    expect(state.id).toBe('d0b32f95-4dde-41ce-80b7-aeb8c5a7e9ce');
    expect(await state.counts()).toMatchObject({
      inbox: 1,
      users: 3,
      items: 3,
      interactions: 3,
      repeated: 0,
    });
    expect((await state.models()).map(m => [m.version.slice(-4), m.published])).toEqual([
      ['aaaa', true],
      ['bbbb', false],
    ]);
    expect(await state.folded()).toBe(4);
    const { id } = await state.startRun('refit', 'nightly');
    await state.endRun(id, { status: 'failed', detail: 'nothing to fit on', code: 'STATE_EMPTY' });
    expect(await state.endedRun('refit', 'nightly')).toMatchObject({ id, code: 'STATE_EMPTY' });
    // The ids of before belong to the stream they came from.
    const again = { events: columnsOf([{ user: 'z', item: 'A', id: '1' }], 9), dead: [] };
    const positions = (source: string, partition: string) =>
      state.append(source, [{ ...again, position: { partition, sequence: 9 } }]);
    await positions('clicks', 'events/1');
    await positions('orders', 'events/1');
    await state.fold(100, async () => undefined, 2 ** 38);
    expect(await state.counts()).toMatchObject({ users: 5, repeated: 1 });
    // They are as old as the opening.
    const kept = { keep: 10, maxAgeMs: 1e12 };
    const outdated = await state.removeOutdated({ dedupeMs: -7_200_000, deadLetters: kept, runs: kept });
    expect(outdated).toMatchObject({ eventIds: 4 });
  } finally {
    await state.close();
  }
  expect(readdirSync(directory).sort()).toEqual(['state.duckdb', 'state.duckdb.format-1']);
});

it('refuses other semantics for a state of format 1 and leaves it at that format', async () => {
  const directory = await ofFormat1();
  const before = await everything(directory);
  await expect(openState(directory, semantics({}))).rejects.toMatchObject({ code: 'STATE_MISMATCH' });
  expect(await everything(directory)).toEqual(before);
});

it('reads a state of format 1 and leaves it at that format', async () => {
  const directory = await ofFormat1();
  const before = await everything(directory);
  const state = await openState(directory, unweighted, {}, 'read');
  expect((await state.models()).map(m => m.version.slice(-4))).toEqual(['aaaa', 'bbbb']);
  expect(await state.counts()).toMatchObject({ inbox: 1, users: 3, repeated: 0 });
  await state.close();
  expect(await everything(directory)).toEqual(before);
  expect(readdirSync(directory)).toEqual(['state.duckdb']);
});

it('refuses a shard of a newer program by name', async () => {
  const directory = await made();
  await sql(directory, "UPDATE settings SET value = '99' WHERE key = 'format'");
  await expect(openShard(directory, 2 ** 28)).rejects.toMatchObject({
    code: 'STATE_MISMATCH',
    message: expect.stringMatching(/written by a newer sansa-stream \(format 99\)/),
  });
});
