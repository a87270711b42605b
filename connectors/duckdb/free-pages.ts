import { renameSync, rmSync } from 'node:fs';
import { checkpoint } from './checkpoint.js';
import { reason } from './database.js';
import { copyInto } from './migrations.js';
import type { Room } from './room.js';
import { openWarehouse } from './warehouse.js';

/**
 * Writes `database` into the new file `copy`, which leaves its free pages behind, and has it take its place. Returns
 * what remains where that cannot be done.
 */
export async function leaveFreePages(database: string, copy: string, room: Room): Promise<string[]> {
  const { connection, release } = await openWarehouse(database, { mode: 'write', room });
  try {
    await checkpoint(connection, database);
    await copyInto(connection, copy);
    renameSync(copy, database);
    return [];
  } catch (error) {
    return [`free pages of ${database} may have the id, because it could not be copied: ${reason(error)}`];
  } finally {
    rmSync(copy, { force: true });
    await release();
  }
}
