import { existsSync } from 'node:fs';
import type { Gramian } from '../gramian/columns.js';
import { implicitGramian } from '../gramian/implicit.js';
import { densityBefore, type Pruning, prunedPath, removePruned, writePruned } from '../gramian/prune.js';
import { type StoredGramian, storedGramian } from '../gramian/stored.js';
import type { Rows } from '../matrix/rows.js';
import type { Arena } from '../runtime/arena.js';
import { collectGarbage } from '../runtime/collector.js';
import type { Threads } from '../runtime/threads.js';
import { degreeOrder, positionsOf } from './order.js';

/**
 * Where a fit gets G from. `scale` is the fixed-point scale of X: an entry v of G stands for v / scale², and where users
 * are weighted for that in `weightUnits`. Segments have the weights in them that the fit's `userWeighting` asks for.
 */
export type GramianInput =
  | { readonly mode: 'implicit'; readonly rows: Rows; readonly scale: number }
  | {
      readonly mode: 'stored';
      readonly paths: readonly string[];
      readonly n: number;
      readonly scale: number;
      /** Fits from a pruned view of the sum, which is kept in `directory` until the segments change. */
      readonly pruning?: (Pruning & { readonly directory: string }) | undefined;
    };

/** Opens the Gramian of an input. */
export function openGramian(
  arena: Arena,
  threads: Threads,
  input: GramianInput,
  userWeighting: number,
): Gramian {
  if (input.mode === 'implicit') return implicitGramian(arena, threads, input.rows, userWeighting);
  const open = (paths: readonly string[]) => storedGramian(arena, threads, paths, input.n, userWeighting);
  return input.pruning ? openPruned(arena, input, input.pruning, open, userWeighting) : open(input.paths);
}

/** The pruned view of stored segments, which is made where there is none of them as they are. */
function openPruned(
  arena: Arena,
  { paths, scale }: Extract<GramianInput, { mode: 'stored' }>,
  pruning: Pruning & { readonly directory: string },
  open: (paths: readonly string[]) => StoredGramian,
  userWeighting: number,
): Gramian {
  const path = prunedPath(pruning.directory, paths, pruning);
  if (!existsSync(path)) {
    makePruned(arena, open(paths), pruning, path, { scale, userWeighting });
    collectGarbage(); // the tables of the segments
  }
  removePruned(pruning.directory, path);
  return { ...open([path]), density: () => densityBefore(path) };
}

function makePruned(
  arena: Arena,
  exact: StoredGramian,
  pruning: Pruning,
  path: string,
  about: { readonly scale: number; readonly userWeighting: number },
): void {
  try {
    writePruned(arena, exact, positionsOf(degreeOrder(exact.diagonal())), pruning, path, about);
  } finally {
    exact.close();
  }
}
