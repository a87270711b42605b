import { z } from 'zod';

/** Which interactions a holdout keeps from a fit, and which users it asks about. */
export const holdoutOptions = z.strictObject({
  holdout: z
    .enum(['last', 'time', 'random'])
    .default('time')
    .describe('last: the newest interaction of each user; time: all behind a point in time; random: a share'),
  share: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.2)
    .describe('share of the interactions that is held out (time, random)'),
  cut: z.iso
    .datetime({ offset: true })
    .or(z.iso.date())
    .optional()
    .describe('date that the held-out interactions begin at, in place of a share (time)'),
  sample: z.int().min(1).optional().describe('measure so many users, drawn by the seed; all without it'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(1)
    .describe('decides everything that is drawn'),
});
export type HoldoutOptions = z.output<typeof holdoutOptions>;
