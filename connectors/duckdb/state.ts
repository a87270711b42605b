import { join } from 'node:path';
import type { StateStore } from '../../src/contracts/index.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { parseSize } from '../../src/size.js';
import { StateConnections } from './connections.js';
import { openDatabase } from './database.js';
import { foldInbox } from './fold.js';
import { readFrame } from './frame.js';
import { Inbox } from './inbox.js';
import { dropUnused } from './leave.js';
import { markInterrupted, openLedger } from './ledger.js';
import { Lookups } from './lookups.js';
import type { DatabaseOptions } from './options.js';
import { Parts } from './parts.js';
import { frameAhead, reframe } from './reframe.js';
import { ensureSchema, type Semantics } from './schema.js';
import { skippedCounts } from './skipped.js';
import { Spills } from './spills.js';
import { openCounts } from './state/counts.js';
import { openDeadLetters } from './state/dead-letters.js';
import { openErasures } from './state/erasures.js';
import { openChanges, openInteractions } from './state/interactions.js';
import { openQueries } from './state/query.js';
import { openRetention } from './state/retention.js';
import { openSegments } from './state/segments.js';
import { openSettings } from './state/settings.js';
import { openForReading, openForWriting, partsDirectory, stateFile } from './state-file.js';

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
  const spills = new Spills(directory, limits.tempDirectory);
  const within = () => ({ ...limits, tempDirectory: spills.next() });
  const stateBytes =
    limits.memoryLimit === undefined ? undefined : parseSize(limits.memoryLimit, 'database.memoryLimit');
  const database = writes
    ? await openForWriting(directory, semantics, within())
    : await openForReading(directory, { ...limits, tempDirectory: spills.path });
  const path = stateFile(directory);
  // What a process that died has left.
  if (writes) spills.clear();
  const connections = await StateConnections.open(
    database,
    writes ? { path, clear: () => spills.clear(), open: () => openDatabase(path, within()) } : undefined,
  );
  const { ingest, folds, queries } = connections;
  try {
    const id = await ensureSchema(queries.connection, writes ? path : undefined, semantics);
    const lookups = new Lookups(join(directory, 'lookups'));
    const parts = new Parts(partsDirectory(directory));
    if (writes) {
      await markInterrupted(queries.connection);
      await parts.tidy(queries.connection);
      await lookups.tidy(queries.connection);
    }
    let inbox = await Inbox.open(ingest.connection);
    connections.onReopened(async () => {
      await lookups.tidy(queries.connection);
      inbox = await Inbox.open(ingest.connection);
    });
    return {
      id,
      takes: { system: 'duckdb', directory: parts.directory },
      ...openLedger(queries),
      ...openInteractions(connections, folds, queries),
      ...openChanges(connections, queries),
      ...openSegments(folds),
      ...openSettings(queries),
      ...openCounts(connections, queries, parts),
      ...openDeadLetters(queries),
      ...openQueries(connections, semantics, parts, join(spills.path, 'queries'), stateBytes),
      ...openErasures(connections, parts),
      ...openRetention(connections),
      positions: source => ingest.use(() => inbox.positions(source)),
      append: (source, batches) => ingest.use(() => inbox.append(source, batches)),
      revive: (source, partition, events) => ingest.use(() => inbox.revive(source, partition, events)),
      skippedCounts: () => queries.use(skippedCounts),
      fold: (limit, build, energy, maxHistory) =>
        folds.use(c => foldInbox(c, semantics, [lookups, parts], limit, build, energy, maxHistory)),
      frame: () => queries.use(readFrame),
      nextFrame: rise => folds.use(c => frameAhead(c, semantics, parts, rise)),
      reframe: (frame, build, energy, maxHistory) =>
        folds.use(c => reframe(c, semantics, lookups, frame, [build, maxHistory], energy)),
      dropUnused: async (enough, build) => {
        const keys = await folds.use(c => dropUnused(c, enough, build));
        if (keys.length > 0) failpoint('leave:committed');
        return keys;
      },
      close: () => connections.close(),
    };
  } catch (error) {
    await connections.close();
    throw error;
  }
}
