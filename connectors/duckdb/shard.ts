import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../../src/errors.js';
import type { ShardState } from '../../src/stages/shards.js';
import { all, releaseResults, scalar } from './database.js';
import { readFrame } from './frame.js';
import { stepsFrom } from './migrations.js';
import { Parts } from './parts.js';
import { limitsOf } from './room.js';
import { storedSettings } from './schema.js';
import { readSegments } from './state/segments.js';
import { openForReading, partsDirectory, stateFile } from './state-file.js';

/** A state that is open for a fit over several. It is not changed, and stays locked until `close`. */
export interface Shard extends ShardState {
  close(): Promise<void>;
}

/**
 * Opens a state for a fit over several.
 *
 * @throws StageError `STATE_LOCKED` while a process has it, `STATE_MISMATCH` when its Gramian is not stored
 *   or a newer program wrote it,
 *   `STATE_EMPTY` when there is no state.
 */
export async function openShard(directory: string, memoryBytes: number): Promise<Shard> {
  if (!existsSync(stateFile(directory)))
    throw new StageError('STATE_EMPTY', `${directory}: expected a state, found none`);
  const database = await openForReading(directory, limitsOf({ memoryBytes, spills: join(directory, 'tmp') }));
  const connection = await database.connect();
  const close = async () => {
    connection.closeSync();
    database.closeSync();
    await releaseResults();
  };
  try {
    const settings = await storedSettings(connection);
    stepsFrom(settings.get('format') ?? 'none');
    const mode = settings.get('gramian') ?? 'none';
    if (mode !== 'stored') {
      throw new StageError(
        'STATE_MISMATCH',
        `${directory}: expected a stored Gramian, found ${mode}: set gramian.mode to stored and fold`,
      );
    }
    if ((await readFrame(connection)).landmark !== undefined)
      throw new StageError(
        'STATE_MISMATCH',
        `${directory}: semantics.halfLife: expected none of a state that is fitted with others, found one: each has a landmark of its own`,
      );
    const keys = await all(connection, 'SELECT key FROM items ORDER BY id');
    const parts = new Parts(partsDirectory(directory));
    const number = async (sql: string) => Number(await scalar(connection, sql));
    return {
      directory,
      scale: Number(settings.get('weightScale')),
      interactions: `${settings.get('interactions')}${settings.get('maxWeight') ? ` up to ${settings.get('maxWeight')}` : ''}`,
      userWeighting: Number(settings.get('userWeighting') ?? 0),
      maxHistory: settings.get('maxHistory') ?? 'none',
      itemKeys: keys.map(k => String(k.key)),
      segments: await readSegments(connection),
      counts: {
        users: await number('SELECT count(DISTINCT "user") FROM matrix'),
        interactions: await number('SELECT count(*) FROM matrix'),
        events: await number('SELECT coalesce(max(events), 0) FROM folded'),
        waiting: await number(`SELECT count(*) FROM ${await parts.waiting(connection)}`),
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
