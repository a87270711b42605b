import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { largestSum, type Semantics } from './schema.js';

/** The largest value of a pair after the events of `coded`, and the one it has: only pairs that may grow. */
const claims = (semantics: Semantics): string =>
  semantics.interactions === 'sum'
    ? `SELECT "user", item, least(coalesce(old, 0) + claim, ${largestSum(semantics)}) AS claim,
         greatest(0, least(coalesce(old, 0), ${largestSum(semantics)})) AS old
       FROM (SELECT "user", item, sum(weight) AS claim FROM coded WHERE op <> 1 GROUP BY ALL)
       LEFT JOIN (SELECT "user", item, sum(value) AS old FROM recent SEMI JOIN coded USING ("user", item) GROUP BY ALL)
         USING ("user", item)`
    : `SELECT "user", item, claim, coalesce(value, 0) AS old
       FROM (SELECT "user", item, max(weight) AS claim FROM coded WHERE op <> 1 GROUP BY ALL)
       LEFT JOIN recent USING ("user", item)`;

/**
 * Takes events out of `coded` that would let a sum of the Gramian overflow, and makes dead letters of them: of an item
 * whose squares would pass `mostEnergy` in all, those above the value that all of them could have. Returns how many.
 * Part of the caller's transaction.
 */
export async function setAsideOverflow(
  connection: DuckDBConnection,
  semantics: Semantics,
  mostEnergy: number,
): Promise<number> {
  if (semantics.interactions === 'binary') return 0;
  const most =
    semantics.interactions === 'sum'
      ? largestSum(semantics)
      : Number(
          await scalar(
            connection,
            `SELECT greatest((SELECT max(value) FROM interactions), (SELECT max(value) FROM recent),
              (SELECT max(weight) FROM coded))`,
          ),
        );
  const users = Number(await scalar(connection, 'SELECT count(*) FROM users'));
  if (users * most ** 2 <= mostEnergy) return 0;
  await connection.run(`CREATE OR REPLACE TEMP TABLE growing AS
    SELECT * FROM (${claims(semantics)}) WHERE claim > old`);
  await connection.run(`CREATE OR REPLACE TEMP TABLE refused AS
    SELECT "user", item, allowed FROM growing JOIN (
      SELECT item, floor(sqrt(greatest(0, ${mostEnergy} - coalesce(energy, 0)) / pairs))::BIGINT AS allowed
      FROM (SELECT item, count(*) AS pairs, sum(claim::DOUBLE ** 2 - old::DOUBLE ** 2) AS more FROM growing GROUP BY item)
      LEFT JOIN (SELECT item, sum(value::DOUBLE ** 2) AS energy FROM matrix SEMI JOIN growing USING (item) GROUP BY item)
        USING (item)
      WHERE coalesce(energy, 0) + more > ${mostEnergy}) USING (item)
    WHERE claim > allowed`);
  const { weightScale } = semantics;
  await connection.run(`INSERT INTO dead_letters
    SELECT p.source, p.part, c.sequence, 'weight-overflow',
      'weight: expected at most ' || (allowed / ${weightScale}) || ' for this item, found ' || (weight / ${weightScale}) ||
        ': sums of the Gramian must stay below 2^53; smaller weights, a lower \`weightScale\` or \`maxWeight\` leave room',
      u.key, to_json({user: u.key, item: i.key, weight: weight / ${weightScale}, op: ['add', 'remove', 'set'][op + 1], ts: ts})::VARCHAR,
      make_timestamp(${Date.now()}000)
    FROM coded c JOIN refused USING ("user", item) JOIN positions p USING (channel)
      JOIN users u ON u.id = c."user" JOIN items i ON i.id = c.item
    WHERE op <> 1`);
  const taken = await all(
    connection,
    'DELETE FROM coded USING refused r WHERE coded."user" = r."user" AND coded.item = r.item AND op <> 1 RETURNING 1',
  );
  for (const table of ['growing', 'refused']) await connection.run(`DROP TABLE ${table}`);
  return taken.length;
}
