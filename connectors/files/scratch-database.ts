import { rm } from 'node:fs/promises';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

/** A DuckDB file that lives as long as what is written by it. */
export interface ScratchDatabase {
  readonly connection: DuckDBConnection;
  /** Closes it, and removes it with what it spilled. */
  release(): Promise<void>;
}

/** A string of SQL. */
export const text = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Rows of a Parquet row group where memory is ample: DuckDB's default. It holds a group until it is written. */
const mostGroupRows = 122_880;
/** Rows that DuckDB handles at a time. */
export const chunkRows = 2048;

/** Options of a `COPY` to Parquet whose rows take some `rowBytes`: a group of them takes a quarter of `memoryBytes`. */
export function parquetOptions(memoryBytes: number, rowBytes: number): string {
  const chunks = Math.floor(memoryBytes / (4 * rowBytes * chunkRows));
  return `(FORMAT parquet, ROW_GROUP_SIZE ${Math.min(mostGroupRows, Math.max(1, chunks) * chunkRows)})`;
}

/** Opens `<scratch>.duckdb`, which spills beside it, so that memory stays within `memoryBytes`. */
export async function openScratch(scratch: string, memoryBytes: number): Promise<ScratchDatabase> {
  const instance = await DuckDBInstance.create(`${scratch}.duckdb`, {
    memory_limit: `${Math.floor(memoryBytes / 1024)}KiB`,
    threads: '1',
    temp_directory: `${scratch}.spill`,
    // Freed memory goes back to the system soon.
    allocator_flush_threshold: '1MB',
    allocator_bulk_deallocation_flush_threshold: '1MB',
  });
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

/** Rows of a Parquet file, by its footer; 0 where that cannot be read. */
export async function parquetRows(path: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    const read = await connection.runAndReadAll(`SELECT num_rows FROM parquet_file_metadata(${text(path)})`);
    return Number(read.getRowsJS()[0]?.[0]);
  } catch {
    return 0;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
