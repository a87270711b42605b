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
export const defaultNeighbours = (n: number): number =>
  Math.max(20, Math.min(64, Math.round(2 ** 18 / Math.max(1, n))));

/** Nonzeros that a layer of icf may have: p_max = max(n, ⌈density·n²⌉), or as many as fsai keeps. */
export const entryBudget = (n: number, density: number | undefined): number =>
  density === undefined ? n * (1 + defaultNeighbours(n)) : Math.max(n, Math.ceil(density * n * n));
