import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { StageError } from '../../src/errors.js';
import { isLocked, reason } from './database.js';

/**
 * DuckDB's file lock does not guard a process against itself, so the readers and writers of one warehouse
 * file in this process take turns here.
 */
const turns = new Map<string, Promise<void>>();

/** How long to wait for another process to let go of the file. */
const patienceMs = 10_000;

/**
 * Opens a DuckDB file of somebody else's and returns a connection that sees its tables. The file stays
 * locked against writers of other processes until `release`: keep that short. While another process has it
 * open for writing, this waits for up to ten seconds.
 */
export async function attachWarehouse(
  path: string,
  mode: 'read' | 'write',
): Promise<{ connection: DuckDBConnection; release: () => Promise<void> }> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new StageError('SOURCE_UNREADABLE', `database ${path}: expected a DuckDB file, found none`);
  const before = turns.get(file) ?? Promise.resolve();
  let leave = () => {};
  turns.set(
    file,
    before.then(() => new Promise<void>(done => (leave = done))),
  );
  await before;
  const deadline = Date.now() + patienceMs;
  for (let waitMs = 20; ; waitMs = Math.min(2 * waitMs, 500)) {
    try {
      const instance = await DuckDBInstance.create(file, mode === 'read' ? { access_mode: 'READ_ONLY' } : {});
      const connection = await instance.connect();
      const release = async () => {
        connection.closeSync();
        instance.closeSync();
        leave();
      };
      return { connection, release };
    } catch (error) {
      const text = reason(error);
      if (isLocked(error) && Date.now() < deadline) {
        await new Promise(done => setTimeout(done, waitMs));
        continue;
      }
      leave();
      if (isLocked(error)) {
        throw new StageError(
          'SOURCE_UNREADABLE',
          `database ${path}: another process kept it open for ${patienceMs / 1000} s`,
        );
      }
      throw new StageError('SOURCE_UNREADABLE', `database ${path}: ${text}`, { cause: error });
    }
  }
}
