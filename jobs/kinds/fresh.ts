import { z } from 'zod';
import type { FreshSummary } from '../../src/publish/fresh.js';
import { clockSettings, cronExpression } from '../cron.js';
import { type Job, publishes } from '../job.js';

const schedule = z
  .strictObject({
    cron: cronExpression.optional(),
    ...clockSettings,
    follow: z.boolean().default(false).describe('after each fold, and fold as soon as events wait'),
  })
  .prefault({})
  .describe('when lists of users whose histories changed are rewritten');

/** Rewrites the lists of users whose histories changed. */
export const fresh: Job<object, FreshSummary, typeof schedule> = {
  name: 'fresh',
  said: { done: 'lists made fresh' },
  schedule,
  clock: ({ cron }, pipeline) => (cron && publishes(pipeline) ? { cron, options: {} } : undefined),
  async prepare({ pipeline }) {
    if (await pipeline.lagging()) return undefined;
    return { kind: 'idle', result: { rewritten: 0, deleted: 0, seconds: 0 } };
  },
  async run({ pipeline, settings, attempt }) {
    const result = await attempt('fresh lists', () => pipeline.publishFresh(settings.signal));
    const detail = `${result.rewritten} lists rewritten, ${result.deleted} deleted`;
    return { kind: 'done', detail, result, facts: result };
  },
};
