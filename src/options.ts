import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { ruleOptions } from './publish/rule-options.js';
import { sizePattern } from './size.js';

/** Settings of a fit that every solver has. */
const common = {
  l2: z
    .number()
    .positive()
    .optional()
    .describe('λ, added to the diagonal of the Gramian; by default derived from that diagonal'),
  serving: z
    .int()
    .min(0)
    .max(10_000)
    .optional()
    .describe(
      'entries kept for each item in the serving matrix, 0 makes none; by default what ranks as the layers do',
    ),
};

const userWeighting = (eta: number) =>
  z
    .number()
    .min(0)
    .max(1)
    .default(eta)
    .describe('η: a user of d items counts 2^(−η⌊log₂ d⌋); 0 counts all alike');

/** SANSA by an incomplete Cholesky factor and its approximate inverse. */
export const icfOptions = z.strictObject({
  solver: z.literal('icf').default('icf'),
  ...common,
  userWeighting: userWeighting(0),
  density: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe('nonzeros kept in each layer, as a share of n²; by default as many as fsai keeps'),
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

/** SANSA by a factorized sparse approximate inverse. */
export const fsaiOptions = z.strictObject({
  solver: z.literal('fsai').default('fsai'),
  ...common,
  userWeighting: userWeighting(0.5),
  neighbours: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('most other items in a row of the inverse factor; by default 20, in small catalogues up to 64'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(0.3)
    .describe('neighbours of item j are those with the largest G_ij / G_ii^α: 0 prefers popular ones'),
});
export type FsaiOptions = z.output<typeof fsaiOptions>;

/** The options of each solver by its name. */
export const solvers = { icf: icfOptions, fsai: fsaiOptions } as const;

/** How a model is fitted; the same for the CLI, the configuration and the library. Without a solver it is `icf`. */
export const fitOptions = z.preprocess(
  given =>
    typeof given === 'object' && given !== null && !Array.isArray(given)
      ? { solver: 'icf', ...given }
      : given,
  z.discriminatedUnion('solver', [icfOptions, fsaiOptions]),
);
export type FitOptions = z.output<typeof fitOptions>;

/** `base` with `overrides` in their places; when they change the solver, it starts from its own
 * defaults, but makes no serving matrix if `base` makes none. */
export function overrideFit(
  base: FitOptions,
  overrides: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  const solver = overrides.solver ?? base.solver;
  if (solver === base.solver) return { ...base, ...overrides };
  return overrides.serving === undefined && base.serving === 0 ? { serving: 0, ...overrides } : overrides;
}

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
  rules: ruleOptions.prefault({}),
});

/** A percentage as a share; 100% is more than there can be. Anything else as it is. */
function shareOf(x: unknown): unknown {
  if (typeof x !== 'string' || !/^\d+(\.\d+)?%$/.test(x)) return x;
  const share = Number.parseFloat(x) / 100;
  return share < 1 ? share : Number.MAX_SAFE_INTEGER;
}

/** What happens to records that are no events. */
export const deadLetterOptions = z.strictObject({
  tolerance: z
    .preprocess(shareOf, z.number().min(0).default(0.5))
    .describe(
      'stop when more records than this are rejected: a share such as 50% or 0.5 (of 1,000 records or more), or, from 1 on, a count; 0 none, 100% any',
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
