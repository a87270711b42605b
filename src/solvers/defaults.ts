import type { FitOptions, FsaiOptions } from '../options.js';

/**
 * λ for fsai when nothing is known but the Gramian's diagonal: three times its root mean square. Measured to be within a
 * percent of the best on catalogues whose best λ differ by a factor of 2.5; the optimum is flat.
 */
export function defaultL2(diagonal: Float64Array): number {
  const squares = diagonal.reduce((sum, g) => sum + g * g, 0);
  return squares > 0 ? 3 * Math.sqrt(squares / diagonal.length) : 1;
}

/** λ for icf: S G S has a diagonal below 1 whatever the data, so a constant does (Spišák et al. 2023, §4.3). */
export const scaledL2 = 20;

/** Neighbours of an item for fsai: 20, and in small catalogues, where more are cheap and better, up to 64. */
const defaultNeighbours = (n: number): number =>
  Math.max(20, Math.min(64, Math.round(2 ** 18 / Math.max(1, n))));

/** Neighbours that a fit of n items with these options gives an item at most; at least room for one. */
export const neighboursOf = (n: number, { neighbours }: FsaiOptions): number =>
  Math.max(1, Math.min(neighbours ?? defaultNeighbours(n), n - 1));

/**
 * Entries of an item in the serving matrix. Measured on Gowalla: with fsai 50 rank better than both layers; icf needs
 * seven times the entries of its layers to stay within 1% of them.
 */
export function defaultServing(n: number, options: FitOptions): number {
  if (options.solver === 'fsai') return 50;
  const each = entryBudget(n, options.density) / Math.max(1, n);
  return Math.max(20, Math.min(150, Math.round(7 * each)));
}

/** Nonzeros that a layer of icf may have: p_max = max(n, ⌈density·n²⌉), or as many as fsai keeps. */
export const entryBudget = (n: number, density: number | undefined): number =>
  density === undefined ? n * (1 + defaultNeighbours(n)) : Math.max(n, Math.ceil(density * n * n));
