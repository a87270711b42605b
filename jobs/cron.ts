import type * as Cron from 'node-cron';
import { z } from 'zod';
import { required } from '../src/runtime/require.js';

/** A cron expression, with or without seconds. */
export const cronExpression = z.string().refine(e => (required('node-cron') as typeof Cron).validate(e), {
  error: 'expected a cron expression such as "*/5 * * * *"',
});

/** Settings of a job that is due by the clock or not at all. */
export const cronOnly = z.strictObject({ cron: cronExpression.optional() });
