import { DuckDBInstance } from '@duckdb/node-api';

/** Runs statements on a DuckDB file (or in memory) as another program would, and lets go of it. */
export async function runSql(path: string, ...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  try {
    for (const sql of statements) await connection.run(sql);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
