import { z } from 'zod';
import { commonOptions } from '../solver.js';

const { serving, signedServing, inputPower, outputPower } = commonOptions(0);

/** Options that both forms of ELSA have; the loss normalises each user's row, so that it needs neither λ nor user weights. */
export const elsaCommon = (rank: number, rate: number) => ({
  serving,
  signedServing,
  inputPower,
  outputPower,
  userWeighting: z.literal(0).default(0).describe('elsa weighs users by its loss'),
  rank: z.int().min(1).max(8192).default(rank).describe('dimensions of an item'),
  steps: z.int().min(0).max(1000).default(20).describe('steps of the full gradient'),
  rate: z
    .number()
    .positive()
    .max(1)
    .default(rate)
    .describe('size of the first step; it falls along a cosine'),
});

/** ELSA: dense factors of an item–item matrix (Vančura et al. 2022). */
export const elsaOptions = z.strictObject({
  solver: z.literal('elsa').default('elsa'),
  ...elsaCommon(256, 0.01),
  startSeed: z.int().default(1).describe('seed of the random columns that the start is made of'),
});
export type ElsaOptions = z.output<typeof elsaOptions>;

/** Dimensions of n items at most: no more than items. */
export const rankOf = (n: number, { rank }: { readonly rank: number }): number =>
  Math.max(1, Math.min(rank, n));

/**
 * No serving matrix unless it is asked for: scores go through the vectors. On Gowalla 200 entries an item lose 7% of NDCG with elsa and
 * 2.5% with compressed-elsa, and making them takes as long as the lists of all users through the vectors.
 */
export const vectorWidth = 0;

/** The largest rank with which a fit fits. */
export function smallerRank<O extends { readonly rank: number }>(
  options: O,
  fits: (options: O) => boolean,
): string | undefined {
  let [lo, hi] = [0, options.rank];
  while (hi - lo > 1) {
    const middle = Math.floor((lo + hi) / 2);
    if (fits({ ...options, rank: middle })) lo = middle;
    else hi = middle;
  }
  return lo > 0 ? String(lo) : undefined;
}
