import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StageError } from '../../src/errors.js';
import { type DuckDBConnection, DuckDBInstance } from './client.js';
import { isLocked, reason, releaseResults } from './database.js';

/** A warehouse that is open. The file stays locked against writers of other processes until `release`. */
export interface Warehouse {
  readonly connection: DuckDBConnection;
  release(): Promise<void>;
}

/**
 * DuckDB's file lock does not guard a process against itself, so the readers and writers of one warehouse
 * file in this process take turns here.
 */
const turns = new Map<string, Promise<void>>();

/** How long to wait for another process to let go of the file. */
const patienceMs = 10_000;

/** Waits for the file's turn in this process; returns how to end it. */
async function takeTurn(file: string): Promise<() => void> {
  const before = turns.get(file) ?? Promise.resolve();
  let leave = () => {};
  const mine = new Promise<void>(done => {
    leave = done;
  });
  turns.set(
    file,
    before.then(() => mine),
  );
  await before;
  return leave;
}

async function open(path: string, file: string, mode: 'read' | 'write', signal?: AbortSignal) {
  const deadline = Date.now() + patienceMs;
  for (let waitMs = 20; ; waitMs = Math.min(2 * waitMs, 500)) {
    if (signal?.aborted) throw new StageError('INTERRUPTED', `database ${path}: no longer waited for`);
    try {
      return await DuckDBInstance.create(file, mode === 'read' ? { access_mode: 'READ_ONLY' } : {});
    } catch (error) {
      if (!isLocked(error)) {
        throw new StageError('SOURCE_UNREADABLE', `database ${path}: ${reason(error)}`, { cause: error });
      }
      if (Date.now() >= deadline) {
        const found = `another process kept it open for ${patienceMs / 1000} s`;
        throw new StageError('SOURCE_UNREADABLE', `database ${path}: expected to open it, ${found}`);
      }
      await sleep(waitMs, undefined, signal && { signal }).catch(() => undefined);
    }
  }
}

/**
 * Opens a DuckDB file of somebody else's and returns a connection that sees its tables; release it soon.
 * While another process has it open for writing, this waits for up to ten seconds, or until `signal` aborts.
 */
export async function attachWarehouse(
  path: string,
  mode: 'read' | 'write',
  signal?: AbortSignal,
): Promise<Warehouse> {
  const file = resolve(path);
  if (!existsSync(file))
    throw new StageError('SOURCE_UNREADABLE', `database ${path}: expected a DuckDB file, found none`);
  const leave = await takeTurn(file);
  try {
    const instance = await open(path, file, mode, signal);
    const connection = await instance.connect();
    return {
      connection,
      async release() {
        connection.closeSync();
        instance.closeSync();
        await releaseResults();
        leave();
      },
    };
  } catch (error) {
    leave();
    throw error;
  }
}
