import { rm } from 'node:fs/promises';
import type { DuckDBConnection } from '../duckdb/client.js';
import { createInstance } from '../duckdb/database.js';
import { limitsOf } from '../duckdb/room.js';

/** A DuckDB file that lives as long as what is written by it. */
export interface ScratchDatabase {
  readonly connection: DuckDBConnection;
  /** Closes it, and removes it with what it spilled. */
  release(): Promise<void>;
}

/** A string of SQL. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Opens `<scratch>.duckdb`, which spills beside it, so that memory stays within `memoryBytes`. */
export async function openScratch(scratch: string, memoryBytes: number): Promise<ScratchDatabase> {
  const limits = { ...limitsOf({ memoryBytes, spills: `${scratch}.spill` }), threads: 1 };
  const instance = await createInstance(`${scratch}.duckdb`, limits);
  const connection = await instance.connect();
  return {
    connection,
    async release() {
      connection.closeSync();
      instance.closeSync();
      for (const suffix of ['.duckdb', '.duckdb.wal', '.spill'])
        await rm(`${scratch}${suffix}`, { recursive: true, force: true });
    },
  };
}
