import { StageError } from '../../src/errors.js';
import type { DuckDBConnection } from './client.js';
import { wholeReason } from './database.js';

/** Runs the statements of a setup; `SOURCE_UNREADABLE` says which one failed and all that DuckDB says of it. */
export async function runSetup(
  connection: DuckDBConnection,
  statements: readonly string[],
  where: string,
): Promise<void> {
  for (const [k, sql] of statements.entries())
    await connection.run(sql).catch(cause => {
      const problem = `${where}: setup.${k} failed: ${wholeReason(cause)}`;
      throw new StageError('SOURCE_UNREADABLE', problem, {
        cause,
        remedy:
          'run the statement in the DuckDB shell of the same version; extensions need a network or INSTALL before',
      });
    });
}
