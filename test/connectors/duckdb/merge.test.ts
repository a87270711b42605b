/** Merges of small ranges against what the tables say: the same X, and the rows of any users, at every step. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { DuckDBConnection } from '#connectors/duckdb/client.js';
import { all, openDatabase } from '#connectors/duckdb/database.js';
import { Lookups } from '#connectors/duckdb/lookups.js';
import { mergeRecent } from '#connectors/duckdb/merge.js';
import { createSchema, semanticsOptions } from '#connectors/duckdb/schema.js';
import { temporaryDirectory } from '../../support/directory.js';

const rangeRows = 20_000;

/** `count` rows of users up to `users`, many of few; pairs that are there already have newer ones. */
const rows = (count: number, users: number, seed: number) => `
  SELECT DISTINCT ON ("user", item) * FROM (
    SELECT (${users} * (hash(range + ${seed})::DOUBLE / 2.0 ** 64) ** 2)::INTEGER AS "user",
      (hash(range, ${seed}) % 300)::INTEGER AS item, range % 7 = 0, range % 3, range, 0, range + ${seed} FROM range(${count}))`;

/** X in a few numbers. */
const matrixOf = (c: DuckDBConnection) =>
  all(
    c,
    'SELECT count(*) AS n, sum(value) AS values, bit_xor(hash("user", item, value, ts)) AS hash FROM matrix',
  );

/** What the files and the table say of some users, and what the table says alone. */
async function known(c: DuckDBConnection, lookups: Lookups, users: readonly number[]) {
  await c.run(`CREATE OR REPLACE TEMP TABLE touched AS SELECT unnest([${users}]) AS "user"`);
  await lookups.findRows(c, await lookups.registered(c), Int32Array.from(users));
  return [
    await all(c, 'FROM known ORDER BY ALL'),
    await all(c, 'FROM interactions SEMI JOIN touched USING ("user") ORDER BY ALL'),
  ];
}

it.each([
  ['rows of an older format', 'interactions'],
  ['rows that came in bulk', 'recent'],
] as const)(
  '%s: every step leaves X, and files agree with the table',
  async (_, table) => {
    const directory = temporaryDirectory();
    const database = await openDatabase(':memory:');
    const c = await database.connect();
    const lookups = new Lookups(join(directory, 'lookups'), rangeRows);
    await createSchema(c, semanticsOptions.parse({ interactions: 'last' }));
    await c.run(`INSERT INTO users SELECT range, 'user ' || range FROM range(30_000)`);
    await c.run(`INSERT INTO items SELECT range, 'item ' || range FROM range(300)`);
    await c.run(`INSERT INTO ${table} ${rows(150_000, 20_000, 1)}`);
    const users = [0, 1, 1023, 1024, 5000, 9999, 17_000, 20_000, 29_999];
    const files = async () => (await lookups.registered(c)).interactions;

    /** Steps until nothing is left to do, each with the same X. */
    const settle = async () => {
      const expected = await matrixOf(c);
      for (let steps = 0, before = ''; ; steps++) {
        await mergeRecent(c, lookups, 0);
        const after = JSON.stringify(await lookups.registered(c));
        if (after === before) return steps;
        before = after;
        expect(await matrixOf(c)).toEqual(expected);
        const [found, wanted] = await known(c, lookups, users);
        expect(found).toEqual(wanted);
      }
    };
    expect(await settle()).toBeGreaterThan(6);
    const made = await files();
    expect(made.length).toBeGreaterThan(3);
    made.forEach((f, k) => void expect(f.first).toBe(made[k - 1]?.below ?? 0));
    expect(Math.max(...made.map(f => f.entries))).toBeLessThan(1.5 * rangeRows + 10_000);

    // Rows of users there are and of new ones; then so many that ranges are divided.
    for (const [count, most] of [
      [30_000, 28_000],
      [200_000, 20_000],
    ] as const) {
      await c.run(`CREATE OR REPLACE TEMP TABLE came AS ${rows(count, most, most)}`);
      await c.run(`INSERT INTO recent SELECT * FROM came ANTI JOIN recent USING ("user", item)`);
      await settle();
      const sizes = await files();
      sizes.forEach((f, k) => void expect(f.first).toBe(sizes[k - 1]?.below ?? 0));
      const [sum] = await all(
        c,
        `SELECT (SELECT count(*) FROM recent) * 16 <= (SELECT count(*) FROM interactions) AS few`,
      );
      expect(sum!.few).toBe(true);
    }

    // Without its file, a range is read from the table; only registered files are kept.
    const present = await lookups.registered(c);
    expect(readdirSync(lookups.directory).sort()).toEqual(
      Object.values(present)
        .flat()
        .map(f => f.file)
        .sort(),
    );
    rmSync(join(lookups.directory, present.interactions[1]!.file));
    const [found, wanted] = await known(c, lookups, users);
    expect(found).toEqual(wanted);
    // A merge makes it again.
    await settle();
    const again = readdirSync(lookups.directory);
    expect(again).toHaveLength(Object.values(present).flat().length);
    expect(again).not.toContain(present.interactions[1]!.file);
    c.closeSync();
    database.closeSync();
  },
  60_000,
);
