import { existsSync } from 'node:fs';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';

/**
 * Brings everything into the database file `path` and leaves no log, which would be applied to a file that takes its
 * place. DuckDB keeps a log whose first record was cut off by a crash until something has changed.
 */
export async function checkpoint(connection: DuckDBConnection, path: string): Promise<void> {
  const logged = (): boolean => existsSync(`${path}.wal`);
  await connection.run('CHECKPOINT');
  if (!logged()) return;
  await connection.run('BEGIN; CREATE SCHEMA passing; DROP SCHEMA passing; COMMIT; CHECKPOINT');
  if (logged())
    throw new StageError('STATE_CORRUPT', `${path}.wal: expected no log after a checkpoint, found one`);
}
