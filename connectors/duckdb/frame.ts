import type { Frame } from '../../src/gramian/frame.js';
import type { DuckDBConnection } from './client.js';
import { scalar } from './database.js';

/** Shifts by more bits leave nothing of a value. */
const mostBits = 62;

/** The integer that is left of `value`, an expression or a number, of an event at `ts` in a frame. */
export function agedValue({ edge, landmark, halfLifeMs }: Frame, value: string, ts = 'ts'): string {
  const decayed =
    landmark === undefined
      ? value
      : `CASE WHEN ${ts} >= ${landmark} THEN ${value} * (1::BIGINT << greatest(0, (${ts} - ${landmark}) // ${halfLifeMs})::INTEGER)
          ELSE ${value} // (1::BIGINT << least(${mostBits}, greatest(0, ${landmark} - ${ts} + ${halfLifeMs} - 1) // ${halfLifeMs})::INTEGER) END`;
  return edge === undefined ? decayed : `CASE WHEN ${ts} >= ${edge} THEN ${decayed} ELSE 0 END`;
}

/** The frame of a state; empty where nothing ages. */
export async function readFrame(connection: DuckDBConnection): Promise<Frame> {
  const text = await scalar(connection, "SELECT value FROM settings WHERE key = 'frame'");
  return typeof text === 'string' ? (JSON.parse(text) as Frame) : {};
}

/** Keeps the frame of a state; part of the caller's transaction. */
export async function writeFrame(connection: DuckDBConnection, frame: Frame): Promise<void> {
  await connection.run("DELETE FROM settings WHERE key = 'frame'");
  await connection.run("INSERT INTO settings VALUES ('frame', ?)", [JSON.stringify(frame)]);
}
