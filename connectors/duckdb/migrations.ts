import { renameSync, rmSync } from 'node:fs';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { literal, scalar, transaction } from './database.js';

/** A step from one format of the state's schema to a later one; part of the caller's transaction. */
export type Migration = readonly [
  from: number,
  to: number,
  run: (connection: DuckDBConnection) => Promise<void>,
];

/** Steps by ascending format. A format is never changed once it was released: a change is a new step. */
export const migrations: readonly Migration[] = [];

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
 * Runs the steps and notes the format they lead to, in one transaction. Before that, the database is copied to
 * `<path>.format-<stored>`: DuckDB copies it, because a process that closes a second descriptor of the file loses its lock.
 */
export async function migrate(
  connection: DuckDBConnection,
  path: string,
  stored: string,
  steps: readonly Migration[],
): Promise<void> {
  const last = steps.at(-1);
  if (!last) return;
  const copy = `${path}.format-${stored}`;
  const unfinished = `${copy}.tmp`;
  rmSync(unfinished, { force: true });
  const own = String(await scalar(connection, 'SELECT current_database()'));
  await connection.run(`ATTACH ${literal(unfinished)} AS copied`);
  try {
    await connection.run(`COPY FROM DATABASE "${own}" TO copied`);
  } finally {
    await connection.run('DETACH copied');
  }
  renameSync(unfinished, copy);
  await transaction(connection, async () => {
    for (const [, , run] of steps) await run(connection);
    await connection.run("UPDATE settings SET value = ? WHERE key = 'format'", [String(last[1])]);
  });
}
