import { z } from 'zod';
import { defaultNeighbours } from '../defaults.js';
import { commonOptions } from '../solver.js';

/** SANSA by a factorized sparse approximate inverse. */
export const fsaiOptions = z.strictObject({
  solver: z.literal('fsai').default('fsai'),
  ...commonOptions(0.5),
  neighbours: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe(
      'most other items in a row of the inverse factor; by default 20, below 52,000 items up to 64 where the Gramian has 256 entries an item or more',
    ),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe('neighbours of item j are those with the largest G_ij / G_ii^α: 0 prefers popular ones'),
});
export type FsaiOptions = z.output<typeof fsaiOptions>;

/** Neighbours that an item gets at most in a fit of n items; at least room for one. Before the density of G is known, the most. */
export const neighboursOf = (
  n: number,
  { neighbours }: FsaiOptions,
  memoryBytes: number,
  density = 1,
): number => Math.max(1, Math.min(neighbours ?? defaultNeighbours(n, memoryBytes, density * n), n - 1));
