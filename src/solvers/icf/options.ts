import { z } from 'zod';
import { defaultEntries } from '../defaults.js';
import { commonOptions } from '../solver.js';

/** SANSA by an incomplete Cholesky factor and its approximate inverse. */
export const icfOptions = z.strictObject({
  solver: z.literal('icf').default('icf'),
  ...commonOptions(0),
  density: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe(
      'nonzeros kept in each layer, as a share of n²; by default 21 an item, in small catalogues up to 65',
    ),
  scans: z.int().min(0).default(4).describe('uniform minimal-residual scans at most'),
  tolerance: z.number().min(0).default(1e-4).describe('loss ‖I − LK‖²_F / n below which no scan is made'),
  scale: z.boolean().default(true).describe('scale the Gramian by S = diag(‖G[:,j]‖^(−1/2))'),
  rescale: z.boolean().default(false).describe('undo the scaling in the weights'),
  shiftStep: z.number().positive().default(1e-3).describe('first diagonal shift after a breakdown'),
  shiftMultiplier: z
    .number()
    .min(1)
    .default(2)
    .describe('growth of the shift from one breakdown to the next'),
  maxShifts: z.int().min(0).default(12).describe('breakdowns after which the fit fails'),
});
export type IcfOptions = z.output<typeof icfOptions>;

/** Default λ: S G S has a diagonal below 1 whatever the data, so a constant does (Spišák et al. 2023, §4.3). */
export const scaledL2 = 20;

/** Nonzeros that a layer may have: p_max = max(n, ⌈density·n²⌉), or 21 to 65 an item. */
export const entryBudget = (n: number, density: number | undefined): number =>
  density === undefined ? n * (1 + defaultEntries(n)) : Math.max(n, Math.ceil(density * n * n));
