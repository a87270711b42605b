import { StageError } from '../../src/errors.js';
import type { ConditionOptions } from './condition-options.js';
import { scalar, wholeReason } from './database.js';
import { subquery } from './project.js';
import { ampleRoom } from './room.js';
import { openWarehouse } from './warehouse.js';

/** The first value of a query, which must be a truth value or NULL. The file is open for that long. `SOURCE_UNREADABLE` if it fails. */
export async function askCondition(
  { database, setup, query }: ConditionOptions,
  baseDirectory = '.',
  room = ampleRoom,
  signal?: AbortSignal,
): Promise<boolean> {
  const { connection, release } = await openWarehouse(database, {
    mode: 'read',
    room,
    baseDirectory,
    setup,
    signal,
  });
  try {
    const value = await scalar(connection, `FROM ${subquery(query)} LIMIT 1`);
    if (value === undefined || value === null || typeof value === 'boolean') return value === true;
    throw new StageError('SOURCE_UNREADABLE', `when.query: expected true or false, found ${String(value)}`, {
      remedy: 'compare it in the query, as in SELECT count(*) > 0 FROM loads',
    });
  } catch (error) {
    if (error instanceof StageError) throw error;
    throw new StageError('SOURCE_UNREADABLE', `when.query: ${wholeReason(error)}`, { cause: error });
  } finally {
    await release();
  }
}
