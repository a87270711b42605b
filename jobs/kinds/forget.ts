import { z } from 'zod';
import type { FoldSummary } from '../../src/contracts/index.js';
import { following, type Job, publishes } from '../job.js';
import { fresh } from './fresh.js';

const options = z.strictObject({ user: z.string().min(1) });

/**
 * Erases a user. Erasing one who is not in the state does nothing, but the lists follow all the same: the sinks may
 * still have some.
 */
export const forget: Job<z.output<typeof options>, FoldSummary> = {
  name: 'forget',
  said: { done: 'user erased' },
  options,
  unrecorded: true,
  async run({ pipeline }, _, { user }) {
    return { kind: 'done', detail: '', result: await pipeline.forget(user) };
  },
  async *followers({ pipeline }, { trigger }) {
    if (publishes(pipeline)) yield following(fresh, trigger, {});
  },
  answer: () => 'forgotten',
};
