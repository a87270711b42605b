import type { BuildSegment, FrameMove } from '../../src/contracts/index.js';
import { type Frame, nextFrame, sameDecay } from '../../src/gramian/frame.js';
import { idsTogether } from './aliases.js';
import { drop } from './batch.js';
import type { DuckDBConnection } from './client.js';
import { scalar, transaction } from './database.js';
import { changeRows, noteChange, touch, touchedUsers } from './fold.js';
import { agedValue, readFrame, writeFrame } from './frame.js';
import type { Lookups } from './lookups.js';
import { ageingOf } from './options.js';
import { LandmarkTooEarly, riseFor } from './overflow.js';
import type { Parts } from './parts.js';
import { createMatrix, matrixOf, readView, type Semantics } from './schema.js';

const everyRow = '(FROM recent UNION ALL FROM interactions)';

/** The frame that the events call for which are taken in; see `nextFrame`. */
export async function frameAhead(
  connection: DuckDBConnection,
  semantics: Semantics,
  parts: Parts,
  rise?: number,
): Promise<Frame> {
  const ageing = ageingOf(semantics);
  if (ageing.windowMs === undefined && ageing.halfLifeMs === undefined) return {};
  const present = await readFrame(connection);
  const waiting = await scalar(connection, `SELECT max(ts) FROM ${await parts.waiting(connection)}`);
  // Events that were folded when nothing aged.
  const folded = present.newest ?? (await scalar(connection, `SELECT max(ts) FROM ${everyRow}`));
  const times = [waiting, folded].filter(time => time !== undefined && time !== null).map(Number);
  return nextFrame(ageing, present, times.length > 0 ? Math.max(...times) : undefined, rise);
}

/** Throws `LandmarkTooEarly` where the squares of an item pass `most` in a frame of another decay. */
async function assertRoom(
  connection: DuckDBConnection,
  semantics: Semantics,
  frame: Frame,
  most: number,
): Promise<void> {
  const sums = `SELECT sum(value::DOUBLE ** 2) AS energy FROM (${matrixOf(semantics, { ...(await readView(connection)), frame })}) GROUP BY item`;
  const energy = Number(await scalar(connection, `SELECT coalesce(max(energy), 0) FROM (${sums})`));
  if (energy > most) throw new LandmarkTooEarly(riseFor(energy, most));
}

/**
 * Moves X from the state's frame to another, in one transaction. Users whose pairs begin or cease to count have changed.
 * With `build`, for frames of the same decay, the segment of the change is made and registered.
 */
export async function reframe(
  connection: DuckDBConnection,
  semantics: Semantics,
  lookups: Lookups,
  frame: Frame,
  build: readonly [BuildSegment | undefined, number | undefined],
  mostEnergy: number,
): Promise<FrameMove> {
  const move = async (): Promise<FrameMove> => {
    const present = await readFrame(connection);
    if (frame.landmark !== undefined && !sameDecay(present, frame))
      await assertRoom(connection, semantics, frame, mostEnergy);
    const [from, to] = [agedValue(present, 'value'), agedValue(frame, 'value')];
    const changed = from === to ? 'false' : `(${from} = 0) <> (${to} = 0)`;
    const view = await readView(connection);
    await connection.run(
      `CREATE OR REPLACE TEMP TABLE coded AS SELECT DISTINCT "user" FROM ${everyRow} WHERE ${changed}`,
    );
    await touch(connection, idsTogether(false));
    const users = await touchedUsers(connection);
    if (build[0]) await lookups.findRows(connection, await lookups.registered(connection), users);
    await changeRows(connection, semantics, [view, { ...view, frame }], users, build, async () => {
      await writeFrame(connection, frame);
      await createMatrix(connection, semantics);
    });
    await noteChange(connection);
    await drop(connection, 'coded', 'touched', ...(build[0] ? ['known'] : []));
    return { users: users.length };
  };
  try {
    return await transaction(connection, move);
  } catch (error) {
    if (!(error instanceof LandmarkTooEarly)) throw error;
    return { users: 0, rise: error.rise };
  }
}
