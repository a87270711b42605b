import { type Frame, halfLivesOf, leastHalfLives } from '../../src/gramian/frame.js';
import type { DuckDBConnection } from './client.js';
import { all, scalar } from './database.js';
import { agedValue } from './frame.js';
import { ageingOf } from './options.js';
import { largestSum, type Semantics, summed } from './schema.js';

/** Thrown where a sum of the Gramian would pass its bound that keeps it with a landmark `rise` half-lives later. */
export class LandmarkTooEarly extends Error {
  constructor(readonly rise: number) {
    super(`the landmark is ${rise} half-lives too early`);
  }
}

/** Half-lives that bring sums of squares to a sixteenth of `most`: two more pass before they are there again. */
export const riseFor = (energy: number, most: number): number => Math.ceil(Math.log2(energy / most) / 2) + 2;

/** The largest value of a pair after the events of `coded`, and the one it has: only pairs that may grow. */
function claims(semantics: Semantics, frame: Frame): string {
  const weight = agedValue(frame, semantics.interactions === 'binary' ? 'least(weight, 1)' : 'weight');
  const known = `(SELECT * REPLACE (${agedValue(frame, 'value')} AS value) FROM recent SEMI JOIN coded USING ("user", item))`;
  if (semantics.interactions !== 'sum')
    return `SELECT "user", item, claim, coalesce(value, 0) AS old
       FROM (SELECT "user", item, max(${weight}) AS claim FROM coded WHERE op <> 1 GROUP BY ALL)
       LEFT JOIN ${known} USING ("user", item)`;
  const most = largestSum(semantics) * 2 ** halfLivesOf(frame);
  return `SELECT "user", item, least(coalesce(total, 0) + claim, ${most}) AS claim, greatest(0, coalesce(old, 0)) AS old
     FROM (SELECT "user", item, sum(${weight}) AS claim FROM coded WHERE op <> 1 GROUP BY ALL)
     LEFT JOIN (SELECT "user", item, sum(value) AS total, ${summed(semantics, frame)} AS old FROM ${known} GROUP BY ALL)
       USING ("user", item)`;
}

/** No value of X can be larger after the events of `coded`. */
async function largestValue(
  connection: DuckDBConnection,
  semantics: Semantics,
  frame: Frame,
): Promise<number> {
  const decay = 2 ** halfLivesOf(frame);
  if (semantics.interactions === 'binary') return decay;
  if (semantics.interactions === 'sum') return largestSum(semantics) * decay;
  const most = `SELECT greatest((SELECT max(value) FROM interactions), (SELECT max(value) FROM recent),
    (SELECT max(weight) FROM coded))`;
  return Number(await scalar(connection, most)) * decay;
}

/** Takes the events of the items in `crowded` out of `coded` that let their squares pass `room`; returns how many. */
async function refuse(
  connection: DuckDBConnection,
  { weightScale }: Semantics,
  frame: Frame,
  room: number,
): Promise<number> {
  await connection.run(`CREATE OR REPLACE TEMP TABLE refused AS
    SELECT "user", item, allowed FROM growing JOIN (
      SELECT item, floor(sqrt(greatest(0, ${room} - energy) / pairs))::BIGINT AS allowed FROM crowded WHERE energy + more > ${room})
      USING (item)
    WHERE claim > allowed`);
  const units = weightScale * 2 ** halfLivesOf(frame);
  await connection.run(`INSERT INTO dead_letters
    SELECT p.source, p.part, c.sequence, 'weight-overflow',
      'weight: expected at most ' || (allowed / ${units}) || ' for this item, found ' || (weight / ${weightScale}) ||
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
  await connection.run('DROP TABLE refused');
  return taken.length;
}

/**
 * Takes events out of `coded` that would let a sum of the Gramian overflow wherever the landmark is, and makes dead
 * letters of them: of an item whose squares would pass `mostEnergy` in all, those above the value that all of them could
 * have. Returns how many. Throws `LandmarkTooEarly` for the others. Part of the caller's transaction.
 */
export async function setAsideOverflow(
  connection: DuckDBConnection,
  semantics: Semantics,
  frame: Frame,
  mostEnergy: number,
): Promise<number> {
  const decays = frame.landmark !== undefined;
  if (semantics.interactions === 'binary' && !decays) return 0;
  const most = await largestValue(connection, semantics, frame);
  const users = Number(await scalar(connection, 'SELECT count(*) FROM users'));
  if (users * most ** 2 <= mostEnergy) return 0;
  const nearer = decays ? Math.max(0, halfLivesOf(frame) - leastHalfLives(ageingOf(semantics))) : 0;
  const room = mostEnergy * 4 ** nearer;
  for (let taken = 0; ; ) {
    await connection.run(`CREATE OR REPLACE TEMP TABLE growing AS
      SELECT * FROM (${claims(semantics, frame)}) WHERE claim > old`);
    await connection.run(`CREATE OR REPLACE TEMP TABLE crowded AS
      SELECT item, pairs, more, coalesce(energy, 0) AS energy
      FROM (SELECT item, count(*) AS pairs, sum(claim::DOUBLE ** 2 - old::DOUBLE ** 2) AS more FROM growing GROUP BY item)
        LEFT JOIN (SELECT item, sum(value::DOUBLE ** 2) AS energy FROM matrix SEMI JOIN growing USING (item) GROUP BY item)
          USING (item)
      WHERE coalesce(energy, 0) + more > ${mostEnergy}`);
    const energy = Number(await scalar(connection, 'SELECT coalesce(max(energy + more), 0) FROM crowded'));
    const refused = energy > room ? await refuse(connection, semantics, frame, room) : 0;
    await connection.run('DROP TABLE growing; DROP TABLE crowded');
    taken += refused;
    if (refused > 0 && nearer > 0) continue;
    if (energy > mostEnergy && nearer > 0) throw new LandmarkTooEarly(riseFor(energy, mostEnergy));
    return taken;
  }
}
