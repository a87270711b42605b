import { renameSync, rmSync } from 'node:fs';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { literal, scalar, transaction } from './database.js';

/** The hour in which an event id is noted. */
export const hourOf = (time: number): number => Math.floor(time / 3_600_000);

/** The stream that a partition belongs to: its name without the number behind the last slash. */
export const streamOf = (part: string): string => `regexp_replace(${part}, '/[0-9]+$', '')`;

/** A step from one format of the state's schema to a later one; part of the caller's transaction. */
export type Migration = readonly [
  from: number,
  to: number,
  run: (connection: DuckDBConnection) => Promise<void>,
];

/**
 * To 2: an event id belongs to a stream of a source; one of several streams, which is not known any more, belongs to all
 * (NULL). Repeated events are counted, models have an order of their own, removed files are noted, and rows at a border
 * have marks. A failed run keeps its error code.
 */
async function toFormat2(connection: DuckDBConnection): Promise<void> {
  const streams = `SELECT DISTINCT source, ${streamOf('part')} AS stream FROM positions`;
  const only = `SELECT * FROM (${streams}) QUALIFY count(*) OVER () = 1`;
  for (const sql of [
    `CREATE TABLE ids AS SELECT id, source, stream FROM event_ids
       LEFT JOIN (${only}) ON true`,
    'DROP TABLE event_ids',
    'ALTER TABLE ids RENAME TO event_ids',
    'CREATE TABLE counted AS SELECT events, 0::BIGINT AS repeated FROM folded',
    'DROP TABLE folded',
    'ALTER TABLE counted RENAME TO folded',
    'CREATE TABLE numbered AS SELECT *, row_number() OVER (ORDER BY created_at, version) AS ordinal FROM models',
    'DROP TABLE models',
    'ALTER TABLE numbered RENAME TO models',
    'CREATE TABLE retired (file VARCHAR)',
    'CREATE TABLE marks (channel INTEGER, mark UBIGINT)',
    'ALTER TABLE runs ADD COLUMN code VARCHAR',
  ])
    await connection.run(sql);
}

/** To 3: erasures of users, under way and done. */
async function toFormat3(connection: DuckDBConnection): Promise<void> {
  await connection.run(
    'CREATE TABLE erasures (hash VARCHAR, asked_at TIMESTAMP, "user" VARCHAR, step VARCHAR, detail VARCHAR)',
  );
}

/** To 4: rows that changed have a table in front of the others; files in which rows and ids are found are registered. */
async function toFormat4(connection: DuckDBConnection): Promise<void> {
  await connection.run('CREATE TABLE recent AS SELECT * FROM interactions LIMIT 0');
  await connection.run(
    'CREATE TABLE lookups (name VARCHAR, file VARCHAR, first BIGINT, below BIGINT, blocks BIGINT, entries BIGINT)',
  );
}

/** To 5: event ids have the hour in which they were noted; items that leave have a table for their removals. */
async function toFormat5(connection: DuckDBConnection): Promise<void> {
  for (const sql of [
    `CREATE TABLE ids AS SELECT id, source, stream, ${hourOf(Date.now())}::INTEGER AS hour FROM event_ids`,
    'DROP TABLE event_ids',
    'ALTER TABLE ids RENAME TO event_ids',
    `CREATE TABLE departed (item VARCHAR, "user" INTEGER, reset BOOLEAN, value BIGINT, ts BIGINT, channel INTEGER,
      sequence BIGINT, hour INTEGER)`,
  ])
    await connection.run(sql);
}

/** To 6: files of events that belong to the inbox are registered. */
async function toFormat6(connection: DuckDBConnection): Promise<void> {
  await connection.run(
    'CREATE TABLE parts (file VARCHAR, channel INTEGER, seq BIGINT, sequence BIGINT, first BIGINT, below BIGINT)',
  );
}

/** To 7: users may be known by several ids. Programs of before do not know of these, nor of frames. */
async function toFormat7(connection: DuckDBConnection): Promise<void> {
  await connection.run(
    'CREATE TABLE aliases (alias INTEGER, known INTEGER, ts BIGINT, channel INTEGER, sequence BIGINT)',
  );
  await connection.run('CREATE TABLE persons ("user" INTEGER, person INTEGER)');
}

/** Steps by ascending format. A format is never changed once it was released: a change is a new step. */
export const migrations: readonly Migration[] = [
  [1, 2, toFormat2],
  [2, 3, toFormat3],
  [3, 4, toFormat4],
  [4, 5, toFormat5],
  [5, 6, toFormat6],
  [6, 7, toFormat7],
];

/** The format of the schema that this program writes. */
export const format = migrations.at(-1)?.[1] ?? 1;

/**
 * The steps from `stored` to the newest format.
 *
 * @throws StageError `STATE_MISMATCH` for a format of a newer program, or of none.
 */
export function stepsFrom(stored: string, steps = migrations): readonly Migration[] {
  const newest = steps.at(-1)?.[1] ?? format;
  const found: Migration[] = [];
  let at = Number(stored);
  if (at > newest) {
    throw new StageError(
      'STATE_MISMATCH',
      `this state was written by a newer sansa-stream (format ${stored}); this one reads formats up to ${newest}: use the newer program, or a new state directory`,
    );
  }
  for (const step of steps) {
    if (step[0] !== at) continue;
    found.push(step);
    at = step[1];
  }
  if (at === newest) return found;
  throw new StageError(
    'STATE_MISMATCH',
    `this state has the format ${JSON.stringify(stored)}, which no sansa-stream writes: restore a copy of the state`,
  );
}

/**
 * Runs the steps, makes the views anew and notes the format they lead to, in one transaction. Before that, the database
 * is copied to `<path>.format-<stored>`: DuckDB copies it, because a process that closes a second descriptor of the file loses its lock.
 */
export async function migrate(
  connection: DuckDBConnection,
  path: string | undefined,
  stored: string,
  steps: readonly Migration[],
  views: () => Promise<unknown>,
): Promise<void> {
  const last = steps.at(-1);
  if (!last) return;
  if (path !== undefined) await copyDatabase(connection, path, stored);
  await transaction(connection, async () => {
    for (const [, , run] of steps) await run(connection);
    await views();
    await connection.run("UPDATE settings SET value = ? WHERE key = 'format'", [String(last[1])]);
  });
}

/** Copies the database to `<path>.format-<stored>`, which appears when it is whole. */
async function copyDatabase(connection: DuckDBConnection, path: string, stored: string): Promise<void> {
  const copy = `${path}.format-${stored}`;
  const unfinished = `${copy}.tmp`;
  rmSync(unfinished, { force: true });
  await copyInto(connection, unfinished);
  renameSync(unfinished, copy);
}

/** Copies what a connection's database has into a new file. */
export async function copyInto(connection: DuckDBConnection, file: string): Promise<void> {
  const own = String(await scalar(connection, 'SELECT current_database()'));
  await connection.run(`ATTACH ${literal(file)} AS copied`);
  try {
    await connection.run(`COPY FROM DATABASE "${own}" TO copied`);
  } finally {
    await connection.run('DETACH copied');
  }
}
