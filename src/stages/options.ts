import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { ruleOptions } from '../publish/rule-options.js';
import { sizePattern } from '../size.js';
import { fitOptions } from '../solvers/index.js';
import { durationPattern } from './duration.js';

/** How the stage keeps the Gramian. */
export const gramianOptions = z.strictObject({
  mode: z
    .enum(['auto', 'stored', 'implicit'])
    .default('auto')
    .describe('stored: incremental segments on disk; implicit: computed from the histories at each fit'),
  maxHistory: z
    .int()
    .min(1)
    .optional()
    .describe('of a longer history only the newest items are in the Gramian; all unless set'),
  keep: z
    .int()
    .min(200)
    .optional()
    .describe(
      'fits with fsai from a stored Gramian read a pruned view of it, with so many rows of each column, and five times the neighbours at least; none below 10,000 items',
    ),
});

export const duration = z.string().regex(durationPattern, 'expected a duration such as 12h, 30d or 2w');

/** How long event ids are known. */
export const dedupeOptions = z.strictObject({
  window: duration.default('30d').describe('an event id is known for this long after its event was folded'),
});

/** How many records of a kind are kept, and for how long. */
const keptOptions = z.strictObject({
  keep: z.int().min(1).describe('newest ones kept'),
  maxAge: duration.default('90d').describe('none are kept for longer'),
});
export type KeptOptions = Pick<z.output<typeof keptOptions>, 'keep' | 'maxAge'>;

/** What is kept of runs, and of signals whose outcome is known to their source. */
export const runOptions = keptOptions.extend({ keep: keptOptions.shape.keep.default(10_000) });

/** When and how much is folded at a time. */
export const foldOptions = z.strictObject({
  maxEvents: z
    .int()
    .min(1)
    .default(4_000_000)
    .describe('events folded in one transaction; the history of a new state without a Gramian is one'),
});

/** Settings of a publication. */
export const publishOptions = z.strictObject({
  k: z.int().min(1).max(1000).default(50).describe('length of the lists'),
  vectors: z
    .boolean()
    .optional()
    .describe(
      'whether the vectors of items go to files and Redis beside the lists; of elsa and compressed-elsa',
    ),
  rules: ruleOptions.prefault({}),
});

/** A percentage as a share; 100% is more than there can be. Anything else as it is. */
function shareOf(x: unknown): unknown {
  if (typeof x !== 'string' || !/^\d+(\.\d+)?%$/.test(x)) return x;
  const share = Number.parseFloat(x) / 100;
  return share < 1 ? share : Number.MAX_SAFE_INTEGER;
}

/** Treatment of records that are no events. */
export const deadLetterOptions = keptOptions.extend({
  tolerance: z
    .preprocess(shareOf, z.number().min(0).default(0.5))
    .describe(
      'stop when more records than this are rejected: a share such as 50% or 0.5 (of 1,000 records or more), or, from 1 on, a count; 0 none, 100% any',
    ),
  keep: keptOptions.shape.keep.default(100_000),
});

/** All settings of `src/`. */
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
  dedupe: dedupeOptions.prefault({}),
  deadLetters: deadLetterOptions.prefault({}),
  runs: runOptions.prefault({}),
});
export type StageOptions = z.output<typeof stageOptions>;
