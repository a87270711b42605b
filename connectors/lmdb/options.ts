import { z } from 'zod';
import { keyValueSettings } from '../../src/publish/sink-options.js';

/** Settings of the LMDB sink. */
export const lmdbOptions = z.strictObject({
  type: z.literal('lmdb'),
  path: z
    .string()
    .min(1)
    .describe('directory of the environment, or its file when the name has an extension; made when missing'),
  ...keyValueSettings,
});

/** Settings of the LMDB sink, defaults filled in. */
export type LmdbOptions = z.output<typeof lmdbOptions>;
