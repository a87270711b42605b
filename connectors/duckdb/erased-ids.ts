import { createHmac, randomBytes } from 'node:crypto';
import type { DuckDBConnection } from './client.js';
import { literal, scalar } from './database.js';

const readKey = (connection: DuckDBConnection): Promise<unknown> =>
  scalar(connection, "SELECT value FROM settings WHERE key = 'erasureKey'");

/** The secret of this state that ids are hashed with; made when it is first asked for. */
async function erasureKey(connection: DuckDBConnection): Promise<string> {
  const known = await readKey(connection);
  if (known !== undefined) return String(known);
  const key = randomBytes(32).toString('hex');
  await connection.run("INSERT INTO settings VALUES ('erasureKey', ?)", [key]);
  return key;
}

/** The keyed hash that stands for a user who was erased, or is about to be. */
export async function userHash(connection: DuckDBConnection, user: string): Promise<string> {
  return createHmac('sha256', await erasureKey(connection))
    .update(user)
    .digest('hex');
}

/** SQL for the keyed hash in the place of an event id. */
const hashOf = (key: string, column: string): string => `'#' || sha256(${literal(key)} || ${column})`;

/** Puts a keyed hash in the place of the event ids in a table that `condition` selects; returns how many. */
export async function hashIds(
  connection: DuckDBConnection,
  table: string,
  condition: string,
): Promise<number> {
  const hash = hashOf(await erasureKey(connection), 'id');
  return Number(await scalar(connection, `UPDATE ${table} SET id = ${hash} WHERE ${condition}`));
}

/** Gives events of the table `identified` whose id was erased their hash, by which they are known again. */
export async function useErasedIds(connection: DuckDBConnection): Promise<void> {
  const key = await readKey(connection);
  if (key === undefined) return;
  const hash = hashOf(String(key), 'id');
  await connection.run(`UPDATE identified SET id = ${hash}
    WHERE ${hash} IN (SELECT id FROM event_ids WHERE starts_with(id, '#'))`);
}
