import { z } from 'zod';
import type { WeightRules } from '../../src/contracts/index.js';
import type { Ageing } from '../../src/gramian/frame.js';
import { durationPattern, milliseconds } from '../../src/stages/duration.js';
import { duration } from '../../src/stages/options.js';

/** Limits of one DuckDB instance. */
export const databaseOptions = z.strictObject({
  memoryLimit: z
    .string()
    .regex(/^\d+(\.\d+)?\s*([KMGT]i?)?B$/i, 'expected a size such as 512MB or 2GiB')
    .optional()
    .describe('memory DuckDB may use before it spills to `tempDirectory`; default: a quarter of `memory`'),
  tempDirectory: z.string().min(1).optional().describe('where DuckDB spills; default: `tmp` beside the file'),
  threads: z.int().min(1).default(2).describe('threads DuckDB may use'),
});
export type DatabaseOptions = z.output<typeof databaseOptions>;

/** A duration of a millisecond at least, in which events grow old. */
const age = duration.refine(
  text => !durationPattern.test(text) || milliseconds(text) >= 1,
  'expected a duration above 0',
);

/** What an event means for the interaction of its user and item; all but the ages are fixed when a state is made. */
export const semanticsOptions = z
  .strictObject({
    interactions: z
      .enum(['binary', 'last', 'sum'])
      .default('binary')
      .describe('binary: present or not; last: the newest weight; sum: weights add up, `remove` subtracts'),
    weightScale: z
      .int()
      .min(1)
      .max(65536)
      .optional()
      .describe('fixed-point units in a weight of 1; default 1 for binary, 100 otherwise'),
    maxWeight: z
      .number()
      .positive()
      .optional()
      .describe('interactions are clamped to this weight (last and sum)'),
    window: age
      .optional()
      .describe('events older than this, counted from the newest one, are taken back; none unless set'),
    halfLife: age
      .optional()
      .describe('an event weighs half as much when it is older by this; all weigh the same unless set'),
  })
  .transform(o => ({ ...o, weightScale: o.weightScale ?? (o.interactions === 'binary' ? 1 : 100) }));
export type Semantics = z.output<typeof semanticsOptions>;

/** What the semantics say of the weight of one event. */
export const weightRules = ({ interactions, weightScale: scale, maxWeight }: Semantics): WeightRules => ({
  interactions,
  scale,
  maxWeight,
});

/** What sums are clamped to, in fixed point. States rely on the larger bound: it stays. */
export const largestSum = ({
  weightScale,
  maxWeight,
}: Pick<Semantics, 'weightScale' | 'maxWeight'>): number =>
  Math.min(2 ** 20, Math.max(1, Math.round((maxWeight ?? 2 ** 20) * weightScale)));

/** How the semantics let events grow old. */
export function ageingOf({ interactions, window, halfLife, ...weights }: Semantics): Ageing {
  const ms = (text: string | undefined) => (text === undefined ? undefined : Math.round(milliseconds(text)));
  const binary = interactions === 'binary';
  return {
    windowMs: ms(window),
    halfLifeMs: ms(halfLife),
    units: binary ? 1 : weights.weightScale,
    most: binary ? 1 : 2 ** 20,
  };
}
