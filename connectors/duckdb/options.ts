import { z } from 'zod';
import type { WeightRules } from '../../src/contracts/index.js';

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

/** What an event means for the interaction of its user and item; fixed when a state is made. */
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
  })
  .transform(o => ({ ...o, weightScale: o.weightScale ?? (o.interactions === 'binary' ? 1 : 100) }));
export type Semantics = z.output<typeof semanticsOptions>;

/** What the semantics say of the weight of one event. */
export const weightRules = ({ interactions, weightScale: scale, maxWeight }: Semantics): WeightRules => ({
  interactions,
  scale,
  maxWeight,
});
