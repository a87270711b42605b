import type { FoldSummary } from '../../src/contracts/index.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { parseSize } from '../../src/size.js';
import { countFolded, dropRepeated } from './batch.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { readFrame } from './frame.js';
import { setAsideOverflow } from './overflow.js';
import type { Semantics } from './schema.js';

/** Whether nothing has been folded into a state. */
export async function isUnfolded(connection: DuckDBConnection): Promise<boolean> {
  // EXISTS reads all of a table.
  for (const table of ['items', 'users', 'interactions', 'recent', 'departed'])
    if ((await scalar(connection, `SELECT true FROM ${table} LIMIT 1`)) !== undefined) return false;
  return true;
}

/** Bytes that a key takes while DuckDB groups it, on both threads together (measured, up to 36 characters). */
const keyBytes = 192;

/** In how many shares keys of the batch are grouped, each in half of DuckDB's memory: it cannot spill texts. */
async function sharesOf(
  connection: DuckDBConnection,
  events: number,
): Promise<[users: number, items: number]> {
  const limit = await scalar(connection, `SELECT current_setting('memory_limit')`);
  const half = parseSize(String(limit), 'memory_limit') / 2;
  if (events * keyBytes <= half) return [1, 1];
  const [keys] = await all(
    connection,
    'SELECT approx_count_distinct("user") AS users, approx_count_distinct(item) AS items FROM batch',
  );
  const shares = (count: unknown) => Math.ceil((Number(count) * keyBytes) / half);
  return [shares(keys!.users), shares(keys!.items)];
}

/** Numbers the keys of the batch in the order of their first event. */
async function number(
  connection: DuckDBConnection,
  dictionary: 'users' | 'items',
  field: '"user"' | 'item',
  shares: number,
): Promise<void> {
  const grouped = (where: string) =>
    `SELECT ${field} AS key, min(seq) AS first FROM batch ${where} GROUP BY 1`;
  const insert = (keys: string) =>
    connection.run(
      `INSERT INTO ${dictionary} SELECT row_number() OVER (ORDER BY first) - 1, key FROM ${keys}`,
    );
  if (shares === 1) return void (await insert(`(${grouped('')})`));
  await connection.run('CREATE OR REPLACE TEMP TABLE keyed (key VARCHAR, first BIGINT)');
  for (let share = 0; share < shares; share++)
    await connection.run(`INSERT INTO keyed ${grouped(`WHERE hash(${field}) % ${shares} = ${share}`)}`);
  await insert('keyed');
  await connection.run('DROP TABLE keyed');
}

/** The rows of all pairs of `coded`, as folds that go step by step leave them, by user and item; `channel` is that of all. */
function settledRows({ interactions }: Semantics, channel: number | undefined): string {
  if (interactions === 'sum')
    return `SELECT "user", item, op = 2, (CASE op WHEN 1 THEN -weight ELSE weight END)::BIGINT, ts, channel, sequence
      FROM coded LEFT JOIN (SELECT "user", item, max((ts, channel, sequence)) AS newest FROM coded WHERE op = 2 GROUP BY ALL)
        USING ("user", item)
      WHERE newest IS NULL OR (ts, channel, sequence) >= newest ORDER BY "user", item`;
  const value = interactions === 'binary' ? 'least(weight, 1)' : 'weight';
  // DuckDB sorts fastest by keys of at most 32 bytes that are all there is: pairs as one number, and channels if they differ.
  const one = channel !== undefined;
  return `SELECT pair >> 32, pair & 4294967295, false, value, ts, ${channel ?? 'channel'}, sequence FROM (
    SELECT *, lead(pair) OVER () AS next FROM (
      SELECT ("user"::BIGINT << 32) | item AS pair, ts, ${one ? '' : 'channel,'} sequence,
        (CASE op WHEN 1 THEN 0 ELSE ${value} END)::INTEGER AS value
      FROM coded ORDER BY pair, ts, ${one ? '' : 'channel,'} sequence, value))
    WHERE next IS DISTINCT FROM pair`;
}

/**
 * Folds the `waiting` events, a relation, into a state that has nothing, and `take`s them out of the inbox: keys are
 * numbered and rows sorted at once, and `recent` stays empty. The same as folding them otherwise; part of the caller's
 * transaction.
 */
export async function foldFirst(
  connection: DuckDBConnection,
  semantics: Semantics,
  waiting: string,
  take: () => Promise<void>,
  energy: number,
): Promise<FoldSummary> {
  const run = (sql: string) => connection.run(sql);
  const [sizes] = await all(
    connection,
    `SELECT count(*) AS events, count(id) AS identified, min(channel) AS channel, max(channel) AS last FROM ${waiting}`,
  );
  const [events, identified] = [Number(sizes!.events), Number(sizes!.identified)];
  const channel = sizes!.channel === sizes!.last ? Number(sizes!.channel) : undefined;
  await run(`CREATE OR REPLACE TEMP ${identified > 0 ? 'TABLE' : 'VIEW'} batch AS SELECT * FROM ${waiting}`);
  await countFolded(connection, events, identified > 0 ? await dropRepeated(connection) : 0);
  const [users, items] = await sharesOf(connection, events);
  await number(connection, 'users', '"user"', users);
  await number(connection, 'items', 'item', items);
  // A weight may have to leave; and joins and sorts that spill do so faster one after the other.
  const frame = await readFrame(connection);
  const stays = semantics.interactions === 'binary' && frame.landmark === undefined;
  const coded = stays && users + items === 2 ? 'VIEW' : 'TABLE';
  await run(`CREATE OR REPLACE TEMP ${coded} coded AS
    SELECT u.id AS "user", i.id AS item, weight, op, ts, channel, sequence
    FROM batch JOIN users u ON u.key = batch."user" JOIN items i ON i.key = batch.item`);
  const refused = await setAsideOverflow(connection, semantics, frame, energy);
  failpoint('fold:encoded');
  await run(`INSERT INTO interactions ${settledRows(semantics, channel)}`);
  failpoint('fold:applied');
  const touched = refused > 0 ? 'SEMI JOIN (SELECT "user" AS id FROM coded) USING (id)' : '';
  await run(
    `INSERT INTO changes SELECT (SELECT coalesce(max(change) + 1, 1) FROM changes), key FROM users ${touched}`,
  );
  const changed = Number(await scalar(connection, `SELECT count(*) FROM users ${touched}`));
  await take();
  await run(`DROP ${coded} coded; DROP ${identified > 0 ? 'TABLE' : 'VIEW'} batch`);
  failpoint('fold:registered');
  return { events, users: changed, segment: undefined };
}
