import { z } from 'zod';
import { icfOptions } from '../icf/options.js';
import { commonOptions } from '../solver.js';

const { density, scans, tolerance } = icfOptions.shape;

/** EASE, and SANSA by an exact factor, for catalogues whose dense matrix fits the memory. */
export const exactOptions = z.strictObject({
  solver: z.literal('exact').default('exact'),
  ...commonOptions(0.5),
  form: z
    .enum(['inverse', 'factor'])
    .default('inverse')
    .describe('inverse: EASE, each row cut; factor: SANSA by the exact factor, cut to the density'),
  precision: z
    .enum(['float64', 'float32'])
    .default('float64')
    .describe(
      'of the dense matrix; float32 takes half the memory and time, and suffices for conditions below 10⁴',
    ),
  entries: z
    .int()
    .min(1)
    .max(10_000)
    .default(500)
    .describe('form inverse: entries of largest magnitude kept in each row'),
  density: density.describe('form factor: nonzeros kept in each layer, as a share of n²'),
  scans: scans
    .default(0)
    .describe(
      'form factor: uniform minimal-residual scans at most: they lower the loss, but cost 6% of NDCG where tried',
    ),
  tolerance: tolerance.describe('form factor: loss ‖I − LK‖²_F / n below which no scan is made'),
});
export type ExactOptions = z.output<typeof exactOptions>;

/** Entries kept in a row of the inverse of n items. */
export const keptEntries = (n: number, { entries }: ExactOptions): number =>
  Math.max(1, Math.min(entries, n - 1));
