/** How a state's schema is checked, refused and brought to a newer format. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { all, openDatabase } from '#connectors/duckdb/database.js';
import { ensureSchema, type Semantics, semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import { temporaryDirectory } from '../../support/directory.js';

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
  expect(readdirSync(directory)).toEqual(['state.duckdb']);
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
    'INSERT INTO folded VALUES (7)',
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
    expect(await all(connection, 'SELECT * FROM folded')).toEqual([{ events: 7n }]);
    expect(await all(connection, 'SELECT count(*) AS n FROM matrix')).toEqual([{ n: 0n }]);
  } finally {
    connection.closeSync();
    kept.closeSync();
  }
});
