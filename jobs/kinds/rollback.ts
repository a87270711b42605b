import { z } from 'zod';
import type { RollbackSummary } from '../../src/publish/rollback.js';
import type { Job } from '../job.js';

const options = z.strictObject({ alias: z.string().optional(), to: z.string().optional() });

/** Switches an alias back to the version before, or to `to`. */
export const rollback: Job<z.output<typeof options>, RollbackSummary> = {
  name: 'rollback',
  said: { done: 'alias rolled back' },
  options,
  async run({ pipeline }, _, given) {
    const result = await pipeline.rollback(given);
    const { alias, from, version } = result;
    return {
      kind: 'done',
      detail: `${alias} from ${from}`,
      version,
      result,
      facts: { alias, from, version },
    };
  },
  answer: () => 'rolled back',
};
