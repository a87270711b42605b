import type { ErasedRows, LeavingUser, Remainder } from '../../src/contracts/index.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { aliasOp, dropLinks, keysOf, personOf } from './aliases.js';
import type { DuckDBConnection } from './client.js';
import { scalar, transaction } from './database.js';
import { hashIds } from './erased-ids.js';
import { closeGaps, findLeaving, takeRemainder } from './leave.js';
import { type Mentions, mentionsOf } from './mentions.js';
import type { Parts } from './parts.js';
import { readRows } from './rows.js';
import { newestRows } from './schema.js';
import { readSegments } from './state/segments.js';

/** What an erasure has removed so far, and the keys of items that nobody has any more. */
export interface Erased {
  readonly rows: ErasedRows;
  readonly items: readonly string[];
}

const removed = async (connection: DuckDBConnection, sql: string, values: readonly string[] = []) =>
  Number(await scalar(connection, sql, values));

/** The items that somebody has. */
const usedItems = 'SELECT item FROM interactions UNION SELECT item FROM recent';

/** Erases what the state knows of a user, by whatever id, in one transaction; events that arrive later begin a new history. */
export async function eraseUser(
  connection: DuckDBConnection,
  hash: string,
  user: string,
  parts: Parts,
  build: (leaving: LeavingUser) => Promise<Remainder>,
  maxHistory?: number,
): Promise<Erased> {
  let files: readonly string[] = [];
  const erased = await transaction(connection, async () => {
    const keys = await keysOf(connection, user);
    const some = keys.map(() => '?').join();
    const remove = (sql: string) => removed(connection, sql, keys);
    files = await parts.settle(connection);
    // Files of rows and keys, which have her, are made anew.
    await connection.run('DELETE FROM lookups');
    const before = await leavingRow(connection, user, maxHistory);
    const her = `(SELECT id FROM users WHERE key IN (${some}))`;
    await connection.run(
      `INSERT INTO recent SELECT * FROM interactions ANTI JOIN recent USING ("user", item) WHERE "user" IN ${her}`,
      [...keys],
    );
    await remove(`DELETE FROM interactions WHERE "user" IN ${her}`);
    const interactions = await remove(`DELETE FROM recent WHERE "user" IN ${her}`);
    const events =
      (await remove(`DELETE FROM inbox WHERE "user" IN (${some})`)) +
      (await remove(`DELETE FROM inbox WHERE op = ${aliasOp} AND item IN (${some})`));
    await remove(`DELETE FROM departed WHERE "user" IN ${her}`);
    await dropLinks(connection, her, keys);
    const users = await remove(`DELETE FROM users WHERE key IN (${some})`);
    const dropped = await findLeaving(connection, usedItems);
    const segments = await readSegments(connection);
    const remainder = await build({ row: before, dropped: dropped.ids, segments });
    failpoint('forget:built');
    await takeRemainder(connection, segments, remainder);
    if (dropped.ids.length > 0) await closeGaps(connection);
    const texts = { deadLetters: 0, eventIds: 0, notes: 0 };
    for (const key of keys) {
      const found = await eraseTexts(connection, key, await mentionsOf(connection, key));
      for (const name of Object.keys(texts) as (keyof typeof texts)[]) texts[name] += found[name];
    }
    const rows: ErasedRows = {
      users,
      events,
      interactions,
      ...texts,
      items: dropped.ids.length,
      segments: remainder.segment ? segments.length : 0,
      modelsRewritten: remainder.models.map(m => m.version),
    };
    const erased = { rows, items: dropped.keys };
    const detail = JSON.stringify(erased);
    await connection.run(
      "UPDATE erasures SET step = 'erased', detail = ? WHERE hash = ? AND step = 'asked'",
      [detail, hash],
    );
    return erased;
  });
  parts.remove(files);
  return erased;
}

/** The row of X of a user, as the Gramian has it. */
async function leavingRow(connection: DuckDBConnection, user: string, maxHistory: number | undefined) {
  const n = await removed(connection, 'SELECT count(*) FROM items');
  const id = await personOf(connection, user);
  const sql = `SELECT "user", item, value FROM matrix WHERE "user" = ${Number(id ?? -1)}
    ${newestRows(maxHistory)} ORDER BY item`;
  return readRows(connection, sql, n, { users: Int32Array.of(Number(id ?? -1)), few: true });
}

/** Removes a user's id from everything that is kept as text. */
async function eraseTexts(connection: DuckDBConnection, user: string, { word, anywhere, without }: Mentions) {
  const count = (sql: string, values: readonly string[] = []) => removed(connection, sql, values);
  // The number of the newest change stays: lists are told apart by it.
  await connection.run('INSERT INTO changes SELECT coalesce(max(change), 0) + 1, NULL FROM changes');
  await connection.run(
    'DELETE FROM changes WHERE key = ? OR (key IS NULL AND change < (SELECT max(change) FROM changes))',
    [user],
  );
  const deadLetters = await count(
    `DELETE FROM dead_letters WHERE "user" = ? OR ${word('raw')} OR ${word('reason')}
       OR ("user" IS NULL AND ${anywhere('raw')})`,
    [user],
  );
  const eventIds =
    (await hashIds(connection, 'event_ids', word('id'))) + (await hashIds(connection, 'inbox', word('id')));
  // A signal whose end its source does not know yet has to keep its id.
  const open = `EXISTS (SELECT 1 FROM signals s WHERE NOT s.reported AND contains(trigger, s.id))`;
  const notes =
    (await count(
      `UPDATE runs SET trigger = ${without('trigger')} WHERE ${word('trigger')} AND NOT ${open}`,
    )) +
    (await count(`UPDATE runs SET detail = ${without('detail')} WHERE ${word('detail')}`)) +
    (await count(`UPDATE signals SET id = ${without('id')} WHERE reported AND ${word('id')}`)) +
    (await count(`UPDATE signals SET options = ${without('options')}, message = ${without('message')}
       WHERE ${word('options')} OR ${word('message')}`));
  return { deadLetters, eventIds, notes };
}
