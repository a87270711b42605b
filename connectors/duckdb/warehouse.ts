import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StageError } from '../../src/errors.js';
import type { DuckDBConnection, DuckDBInstance } from './client.js';
import { createInstance, isLocked, reason, releaseResults } from './database.js';
import { keepInterrupting } from './interrupt.js';
import type { DatabaseOptions } from './options.js';
import { limitsOf, type Room } from './room.js';
import { searchFrom } from './search-path.js';
import { runSetup } from './setup.js';
import { setupFrom } from './setup-option.js';

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

/** How a warehouse is opened. */
export interface Opening {
  readonly mode: 'read' | 'write';
  readonly room: Room;
  /** Where the relative paths of queries begin. */
  readonly baseDirectory?: string;
  /** Statements that come first. */
  readonly setup?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A room as limits, with a directory of its own for what does not fit: DuckDB names files in it without regard for others. */
function limitsIn({ memoryBytes, spills }: Room): Partial<DatabaseOptions> {
  if (spills === undefined) return limitsOf({ memoryBytes });
  mkdirSync(spills, { recursive: true });
  return limitsOf({ memoryBytes, spills: join(spills, randomUUID()) });
}

async function openFile(path: string, { mode, room, signal }: Opening): Promise<DuckDBInstance> {
  const deadline = Date.now() + patienceMs;
  for (let waitMs = 20; ; waitMs = Math.min(2 * waitMs, 500)) {
    if (signal?.aborted) throw new StageError('INTERRUPTED', `database ${path}: no longer waited for`);
    try {
      return await createInstance(path, limitsIn(room), mode === 'read');
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

/** Interrupts each statement of a connection after `signal` aborts; returns how to end that. */
function interrupted(connection: DuckDBConnection, signal: AbortSignal | undefined): () => void {
  let end = () => {};
  const interrupt = () => {
    end = keepInterrupting([connection]);
  };
  if (signal?.aborted) interrupt();
  else signal?.addEventListener('abort', interrupt, { once: true });
  return () => {
    signal?.removeEventListener('abort', interrupt);
    end();
  };
}

/** Waits for the turn of a file that exists; returns how to end it. */
async function enter(path: string): Promise<() => void> {
  if (!existsSync(path))
    throw new StageError('SOURCE_UNREADABLE', `database ${path}: expected a DuckDB file, found none`);
  return takeTurn(path);
}

/**
 * Opens the DuckDB file `path` of somebody else's, or without one a database in memory for queries over other files, and
 * returns a connection; release it soon. While another process has the file open for writing, this waits for up to ten
 * seconds, or until the signal aborts. From then on whatever the connection runs is interrupted.
 */
export async function openWarehouse(path: string | undefined, opening: Opening): Promise<Warehouse> {
  const file = path === undefined ? undefined : resolve(opening.baseDirectory ?? '.', path);
  const leave = file === undefined ? () => undefined : await enter(file);
  let instance: DuckDBInstance | undefined;
  let unlink = () => {};
  let unbind = () => {};
  const release = async () => {
    unbind();
    instance?.closeSync();
    await releaseResults();
    unlink();
    leave();
  };
  try {
    instance =
      file === undefined
        ? await createInstance(':memory:', limitsIn(opening.room))
        : await openFile(file, opening);
    const connection = await instance.connect();
    unbind = interrupted(connection, opening.signal);
    if (opening.baseDirectory !== undefined) unlink = await searchFrom(connection, opening.baseDirectory);
    const setup = setupFrom(opening.setup, opening.baseDirectory ?? '.');
    await runSetup(connection, setup, file === undefined ? 'duckdb' : `database ${file}`);
    return {
      connection,
      async release() {
        connection.closeSync();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}
