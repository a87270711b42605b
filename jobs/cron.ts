import type * as Cron from 'node-cron';
import { z } from 'zod';
import { required } from '../src/runtime/require.js';

/** A cron expression, with or without seconds. */
export const cronExpression = z.string().refine(e => (required('node-cron') as typeof Cron).validate(e), {
  error: 'expected a cron expression such as "*/5 * * * *"',
});

/** Settings of every job that may be due by the clock. */
export const clockSettings = {
  catchUp: z
    .enum(['once', 'none'])
    .default('once')
    .describe('whether a time that was missed, because nothing ran then, is made up for'),
  jitterMs: z
    .int()
    .min(0)
    .default(0)
    .describe('a run begins up to this much after its time, so that many stages do not begin at once'),
  timeoutMs: z.int().min(1).optional().describe('a run that takes longer is stopped and has failed'),
};

/** Settings of a job that is due by the clock or not at all. */
export const cronOnly = z.strictObject({ cron: cronExpression.optional(), ...clockSettings });
