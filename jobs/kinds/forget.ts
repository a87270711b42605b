import { z } from 'zod';
import type { Receipt } from '../../src/contracts/index.js';
import { following, type Job, publishes } from '../job.js';
import { fresh } from './fresh.js';

const options = z.strictObject({ user: z.string().min(1) });

/** Erases a user from the state and the sinks; also one who is not in the state, because the sinks may have her lists. */
export const forget: Job<z.output<typeof options>, Receipt> = {
  name: 'forget',
  said: { done: 'user erased' },
  options,
  unrecorded: true,
  async run({ pipeline, settings, attempt }, _, { user }) {
    const result = await attempt('forget', () => pipeline.forget(user, settings.signal));
    return { kind: 'done', detail: '', result, facts: result };
  },
  async *followers({ pipeline }, { trigger }) {
    if (publishes(pipeline)) yield following(fresh, trigger, {});
  },
  answer: () => 'forgotten',
};
