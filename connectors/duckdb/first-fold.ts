import type { FoldSummary } from '../../src/contracts/index.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { countFolded, dropRepeated } from './batch.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { setAsideOverflow } from './overflow.js';
import type { Semantics } from './schema.js';

/** Whether nothing has been folded into a state. */
export async function isUnfolded(connection: DuckDBConnection): Promise<boolean> {
  // EXISTS reads all of a table.
  for (const table of ['items', 'users', 'interactions', 'recent', 'departed'])
    if ((await scalar(connection, `SELECT true FROM ${table} LIMIT 1`)) !== undefined) return false;
  return true;
}

/** Numbers the keys of the batch in the order of their first event. */
const number = (connection: DuckDBConnection, dictionary: 'users' | 'items', field: '"user"' | 'item') =>
  connection.run(`INSERT INTO ${dictionary} SELECT row_number() OVER (ORDER BY first) - 1, key
    FROM (SELECT ${field} AS key, min(seq) AS first FROM batch GROUP BY ${field})`);

/** The rows of all pairs of `coded`, as folds that go step by step leave them, by user and item. */
function settledRows({ interactions }: Semantics): string {
  if (interactions === 'sum')
    return `SELECT "user", item, op = 2, (CASE op WHEN 1 THEN -weight ELSE weight END)::BIGINT, ts, channel, sequence
      FROM coded LEFT JOIN (SELECT "user", item, max((ts, channel, sequence)) AS newest FROM coded WHERE op = 2 GROUP BY ALL)
        USING ("user", item)
      WHERE newest IS NULL OR (ts, channel, sequence) >= newest ORDER BY "user", item`;
  const value = interactions === 'binary' ? 'least(weight, 1)' : 'weight';
  // Pairs are compared and sorted as one number.
  return `SELECT pair >> 32, pair & 4294967295, false, value, ts, channel, sequence FROM (
      SELECT ("user"::BIGINT << 32) | item AS pair, (CASE op WHEN 1 THEN 0 ELSE ${value} END)::INTEGER AS value, ts, channel, sequence
      FROM coded)
    QUALIFY row_number() OVER (PARTITION BY pair ORDER BY ts DESC, channel DESC, sequence DESC) = 1 ORDER BY pair`;
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
  const [sizes] = await all(connection, `SELECT count(*) AS events, count(id) AS identified FROM ${waiting}`);
  const [events, identified] = [Number(sizes!.events), Number(sizes!.identified)];
  await run(`CREATE OR REPLACE TEMP ${identified > 0 ? 'TABLE' : 'VIEW'} batch AS SELECT * FROM ${waiting}`);
  await countFolded(connection, events, identified > 0 ? await dropRepeated(connection) : 0);
  await number(connection, 'users', '"user"');
  await number(connection, 'items', 'item');
  // A weight may have to leave.
  const coded = semantics.interactions === 'binary' ? 'VIEW' : 'TABLE';
  await run(`CREATE OR REPLACE TEMP ${coded} coded AS
    SELECT u.id AS "user", i.id AS item, weight, op, ts, channel, sequence
    FROM batch JOIN users u ON u.key = batch."user" JOIN items i ON i.key = batch.item`);
  const refused = await setAsideOverflow(connection, semantics, energy);
  failpoint('fold:encoded');
  await run(`INSERT INTO interactions ${settledRows(semantics)}`);
  failpoint('fold:applied');
  const touched = refused > 0 ? 'SEMI JOIN (SELECT "user" AS id FROM coded) USING (id)' : '';
  await run(
    `INSERT INTO changes SELECT (SELECT coalesce(max(change) + 1, 1) FROM changes), key FROM users ${touched}`,
  );
  const users = Number(await scalar(connection, `SELECT count(*) FROM users ${touched}`));
  await take();
  await run(`DROP ${coded} coded; DROP ${identified > 0 ? 'TABLE' : 'VIEW'} batch`);
  failpoint('fold:registered');
  return { events, users, segment: undefined };
}
