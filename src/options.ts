import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { sizePattern } from './size.js';

/** How a model is fitted; the same for the CLI, the configuration and the library. */
export const fitOptions = z.strictObject({
  solver: z
    .enum(['icf'])
    .default('icf')
    .describe('icf: incomplete Cholesky factor and its approximate inverse'),
  l2: z.number().positive().default(20).describe('λ added to the (scaled) Gramian diagonal'),
  density: z
    .number()
    .positive()
    .max(1)
    .default(5e-4)
    .describe('nonzeros kept in each layer, as a share of n²'),
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
export type FitOptions = z.output<typeof fitOptions>;

/** How the stage keeps the Gramian. */
export const gramianOptions = z.strictObject({
  mode: z
    .enum(['auto', 'stored', 'implicit'])
    .default('auto')
    .describe('stored: incremental segments on disk; implicit: computed from the histories at each fit'),
});

/** When and how much is folded at a time. */
export const foldOptions = z.strictObject({
  maxEvents: z.int().min(1).default(4_000_000).describe('events folded in one transaction'),
});

/** What is published. */
export const publishOptions = z.strictObject({
  k: z.int().min(1).max(1000).default(50).describe('length of the lists'),
});

/** What happens to records that are no events. */
export const deadLetterOptions = z.strictObject({
  tolerance: z
    .number()
    .min(0)
    .default(0.5)
    .describe(
      'stop when more records than this are rejected: 0 none, below 1 a share (of 1,000 records or more), else a count',
    ),
});

/** Everything that `src/` can be told. */
export const stageOptions = z.strictObject({
  memory: z
    .string()
    .regex(sizePattern, 'expected a size such as 512MiB')
    .default('1GiB')
    .describe('what a fit, with DuckDB, may use beside the fixed base of the runtime'),
  threads: z
    .int()
    .min(1)
    .max(64)
    .default(availableParallelism())
    .describe('threads of fits, folds and scoring'),
  gramian: gramianOptions.prefault({}),
  fold: foldOptions.prefault({}),
  fit: fitOptions.prefault({}),
  publish: publishOptions.prefault({}),
  deadLetters: deadLetterOptions.prefault({}),
});
export type StageOptions = z.output<typeof stageOptions>;
