import type { SplitSize } from '../../connectors/duckdb/split.js';
import { databaseShare } from '../../src/fit/memory.js';
import type { FitOptions } from '../../src/solvers/index.js';
import { threadsOnSplit } from '../../src/stages/holdouts.js';
import type { CommandContext } from '../command.js';
import { allowanceOf } from './allowance.js';

/** The flags of `readFiles`, and their help. */
export const fileFlags = { train: { type: 'string' }, test: { type: 'string' } } as const;
export const fileHelp = {
  train: 'Parquet or CSV with columns user, item[, weight]',
  test: 'the same, held out',
} as const;

/**
 * Reads a train and a test file within the memory that the flags allow, with the threads that a fit may use. A fit of
 * `present` that does not fit is refused before the rows are read. `tunes` says that trials share the memory.
 */
export async function readFiles(
  { values, progress, signal }: CommandContext,
  [trainPath, testPath]: readonly [string, string],
  { present, tunes }: { readonly present?: FitOptions | undefined; readonly tunes?: boolean },
) {
  const allowance = allowanceOf(values);
  const { memoryBytes } = allowance;
  progress('reading');
  let threadsOf = (_: FitOptions): number => allowance.threads;
  const plan = (size: SplitSize): void => {
    threadsOf = fit => threadsOnSplit(size, fit, allowance, tunes);
    if (present) threadsOf(present);
  };
  const { loadSplit } = await import('../../connectors/duckdb/split.js');
  const files = await loadSplit(trainPath, testPath, databaseShare(memoryBytes), plan, signal);
  return { files, memoryBytes, threadsOf };
}
