import { zeroDense } from '../../matrix/dense.js';
import { rankOf } from '../elsa/options.js';
import { embed, embedRoom } from '../elsa/solve.js';
import { landmarkStart } from '../elsa/start.js';
import type { Solved, SolverContext, SolverRoom, SolverSize } from '../solver.js';
import { sparseBytes, sparseObjective } from './objective.js';
import type { CompressedElsaOptions } from './options.js';

/** ELSA on the most popular items as dimensions, of which each item keeps a few; they follow the magnitudes at every step. */
export function solve(context: SolverContext, options: CompressedElsaOptions): Solved {
  const { arena, threads } = context;
  const { n } = context.gramian;
  const rank = rankOf(n, options);
  const keep = keptOf(n, options);
  const landmarks = mostPopular(context.diagonal, rank);
  const solved = embed(context, rank, options, (p, x, W) => {
    const spare = zeroDense(arena, n, rank, 'products of items');
    landmarkStart(arena, threads, p, x.diagonal, landmarks, W, spare);
    return sparseObjective(arena, threads, p, W, spare, keep);
  });
  return { ...solved, layers: { ...solved.layers, dimensions: landmarks } };
}

const keptOf = (n: number, options: CompressedElsaOptions): number =>
  Math.min(options.kept, rankOf(n, options));

/** The items with the largest G_jj, in this order; of equal ones the smaller first. */
function mostPopular(diagonal: Float64Array, count: number): Int32Array {
  const items = Int32Array.from({ length: diagonal.length }, (_, i) => i);
  return items.sort((i, j) => diagonal[j]! - diagonal[i]! || i - j).slice(0, count);
}

export const room = (size: SolverSize, options: CompressedElsaOptions): SolverRoom => {
  const [rank, keep] = [rankOf(size.items, options), keptOf(size.items, options)];
  return embedRoom(size, rank, sparseBytes(size, rank, keep), keep);
};
