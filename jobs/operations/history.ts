/** What has happened: runs, and records that became dead letters. */
import { z } from 'zod';
import { operation } from './operation.js';

const limit = z.int().min(1).max(10_000).default(100);
/** Epoch ms. */
const since = z.number().optional();

export const runs = operation({
  parameters: z.strictObject({ job: z.string().min(1).optional(), since, limit }),
  run: async ({ pipeline }, { limit, ...filter }) => ({
    runs: await pipeline.parts.store.runs(limit, filter),
  }),
});

/** Signals with their results. */
export const signals = operation({
  parameters: z.strictObject({ limit }),
  run: async ({ pipeline }, { limit }) => ({ signals: await pipeline.parts.store.signals(limit) }),
});

const filter = { source: z.string().min(1).optional(), code: z.string().min(1).optional(), since };

/** How many there are of each source and code, and the newest ones. */
export const deadLetters = operation({
  parameters: z.strictObject({ ...filter, limit }),
  async run({ pipeline }, { limit, ...filter }) {
    const { store } = pipeline.parts;
    const counts = await store.deadLetterCounts(filter);
    return { counts, letters: await store.deadLetters(limit, filter) };
  },
});

export const dropDeadLetters = operation({
  parameters: z.strictObject(filter),
  changes: true,
  run: async ({ pipeline }, filter) => ({ dropped: await pipeline.parts.store.dropDeadLetters(filter) }),
});

/** Decodes dead letters again: what was wrong may have been put right since. */
export const retryDeadLetters = operation({
  parameters: z.strictObject(filter),
  changes: true,
  run: ({ pipeline }, filter) => pipeline.retryDeadLetters(filter),
});
