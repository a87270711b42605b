/**
 * λ when nothing is known but the Gramian's diagonal: three times its root mean square. Measured to be within a percent
 * of the best on catalogues whose best λ differ by a factor of 2.5; the optimum is flat.
 */
export function defaultL2(diagonal: Float64Array): number {
  const squares = diagonal.reduce((sum, g) => sum + g * g, 0);
  return squares > 0 ? 3 * Math.sqrt(squares / diagonal.length) : 1;
}

/** Entries of an item beside its own in a factor of icf: 20, and in small catalogues, where more are cheap and better, up to 64. */
export const defaultEntries = (n: number): number =>
  Math.max(20, Math.min(64, Math.round(2 ** 18 / Math.max(1, n))));

/** Bytes of a neighbour: in the rows of the inverse, and in both layers. */
const NEIGHBOUR_BYTES = 36;

/**
 * Entries of G an item below which a catalogue says too little of its items for more than 20 neighbours, and for weighing rare ones
 * up: with 30 to 140 entries, of generated catalogues and of samples of Gowalla, 64 neighbours lose 2 to 6% of NDCG in the layers and
 * G_ii^(−0.2) 3 to 16%; with 460 and more both gain.
 */
export const thinGramian = 256;

/**
 * Neighbours of an item in the inverse factor: 20 to 64, a million in all, which a second finds and a quarter of the memory
 * holds. Measured: 64 beat 20 up to 17,000 items; with 41,000 the layers rank best at 20 to 30. `entries` are those of G an item.
 */
export function defaultNeighbours(n: number, memoryBytes: number, entries: number): number {
  if (entries < thinGramian) return 20;
  const all = Math.min(2 ** 20, memoryBytes / 4 / NEIGHBOUR_BYTES);
  return Math.max(20, Math.min(64, Math.floor(all / Math.max(1, n))));
}

/**
 * Density of G from which on items of a history weigh alike: G_ii^(−0.2) gains 1 to 2% of NDCG on catalogues below it, and costs
 * two of four above it 2 and 3%.
 */
export const denseGramian = 0.5;

/**
 * Density of G from which on negative scores count. Leaving them out gains 0.4 to 1.5% of NDCG on nine catalogues of density 0.036 to
 * 0.078; between 0.1 and 0.11 it gains up to 0.3% on four and costs one 1.4%, and denser ones up to 15%.
 */
export const signedDensity = 0.09;

/**
 * Items of a catalogue whose rows of a serving matrix hold all their entries, negative ones too. Positive ones alone are too few for
 * lists there: they lose 22% of NDCG with 174 items of density 0.04, and 2% with 362.
 */
export const wholeRows = 500;

/** Density of G from which on more neighbours ask for a larger λ. */
const middleGramian = 0.045;

/**
 * λ of fsai with m neighbours, as a multiple of `defaultL2`: rows of more neighbours fit more of the noise. On eleven
 * catalogues between these densities, 64 neighbours with the power 0.4 of m / 20 ranked better than fewer with the λ of 20. Without
 * it two of ten ranked up to 3% worse than those, and at 0.8 four of ten up to 1%, among them the densest. Elsewhere the λ of 20 is best.
 */
export const neighboursL2 = (m: number, density: number): number =>
  density >= middleGramian && density < denseGramian ? Math.max(1, m / 20) ** 0.4 : 1;

/**
 * Entries of an item in a serving matrix of layers that have m an item: 2.5 m, and at least 100. Signed rows have half their entries
 * below zero, so there they are three million in all where the memory has room, up to 500.
 */
export function defaultWidth(n: number, m: number, signed: boolean, memoryBytes: number): number {
  const least = Math.max(100, Math.round(2.5 * m));
  const all = signed ? Math.min(3 * 2 ** 20, memoryBytes / 64) : 0;
  return Math.max(least, Math.min(500, Math.floor(all / Math.max(1, n))));
}
