import { blockBudget } from '../memory.js';
import type { FsaiOptions } from '../options.js';
import { defaultL2, defaultNeighbours } from './defaults.js';
import type { FitContext, Solved } from './fit.js';
import { columnsOf, factorizeInverse, fsaiWorkspace } from './fsai.js';
import { buildModel } from './weights.js';

/** SANSA by a factorized sparse approximate inverse: patterns, blocks, rows, weights. */
export function fitFsai(context: FitContext, options: FsaiOptions): Solved {
  const { arena, threads, gramian, diagonal, positions, unit, stage } = context;
  const l2 = options.l2 ?? defaultL2(diagonal) / unit;
  // What stays lies below X.
  const neighbours = options.neighbours ?? defaultNeighbours(gramian.n);
  const f = fsaiWorkspace(arena, diagonal, positions, { neighbours, alpha: options.alpha });
  const mark = arena.mark();
  const arranged = stage('scale', () => gramian.arrange(positions));
  stage('factor', report =>
    factorizeInverse(arena, threads, arranged, f, {
      lambda: l2 * unit,
      blockBytes: blockBudget(arena.limit),
      report,
    }),
  );
  arena.release(mark); // G is no longer needed
  const { layers, entries } = stage('weights', () => {
    const K = columnsOf(arena, f);
    return { layers: buildModel(arena, K, f.pivots, positions), entries: K.entries };
  });
  return { layers, l2, details: { factorEntries: entries } };
}
