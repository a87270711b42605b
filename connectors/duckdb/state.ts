import { join } from 'node:path';
import type { StateStore } from '../../src/contracts/index.js';
import type { DuckDBInstance } from './client.js';
import { type DatabaseOptions, releaseResults, SerialConnection } from './database.js';
import { foldInbox, forgetUser } from './fold.js';
import { Inbox } from './inbox.js';
import { markInterrupted, openLedger } from './ledger.js';
import { ensureSchema, type Semantics } from './schema.js';
import { openCounts } from './state/counts.js';
import { openChanges, openInteractions } from './state/interactions.js';
import { openSegments } from './state/segments.js';
import { openSettings } from './state/settings.js';
import { openForReading, openForWriting, stateFile } from './state-file.js';

/** Connections of their own for ingest, folds and queries, so that a long fold does not hold up ingest. */
interface Connections {
  readonly ingest: SerialConnection;
  readonly folds: SerialConnection;
  readonly queries: SerialConnection;
  close(): Promise<void>;
}

async function connect(database: DuckDBInstance): Promise<Connections> {
  const open = async () => new SerialConnection(await database.connect());
  const [ingest, folds, queries] = await Promise.all([open(), open(), open()]);
  return {
    ingest,
    folds,
    queries,
    async close() {
      for (const c of [ingest, folds, queries]) await c.close();
      database.closeSync();
      await releaseResults();
    },
  };
}

/**
 * Opens, or makes, the state in `directory/state.duckdb`. One process at a time. For reading, nothing is made or
 * changed: what is not there is empty, and an older format is brought up to date in memory.
 *
 * @throws StageError `STATE_LOCKED` while another process has it, `STATE_MISMATCH` when it was made with other semantics
 *   or by a newer program, or when the directory has other files and no state, `STATE_CORRUPT` when the file is damaged.
 */
export async function openState(
  directory: string,
  semantics: Semantics,
  limits: Partial<DatabaseOptions> = {},
  access: 'read' | 'write' = 'write',
): Promise<StateStore> {
  const writes = access === 'write';
  const within = { ...limits, tempDirectory: limits.tempDirectory ?? join(directory, 'tmp') };
  const database = writes
    ? await openForWriting(directory, semantics, within)
    : await openForReading(directory, within);
  const { ingest, folds, queries, close } = await connect(database);
  try {
    // Rows of the inbox are deleted soon: with a large WAL most of them are never written to the file.
    await queries.connection.run("SET wal_autocheckpoint = '128MB'");
    const id = await ensureSchema(queries.connection, writes ? stateFile(directory) : undefined, semantics);
    if (writes) await markInterrupted(queries.connection);
    const inbox = await Inbox.open(ingest.connection);
    return {
      id,
      ...openLedger(queries),
      ...openInteractions(database, folds, queries),
      ...openChanges(database, folds, queries),
      ...openSegments(folds),
      ...openSettings(queries),
      ...openCounts(queries),
      positions: source => ingest.use(() => inbox.positions(source)),
      append: (source, batches) => ingest.use(() => inbox.append(source, batches)),
      fold: (limit, build) => folds.use(c => foldInbox(c, semantics, limit, build)),
      forget: (user, build) => ingest.use(() => folds.use(c => forgetUser(c, user, build))),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
