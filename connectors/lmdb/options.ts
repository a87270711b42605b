import { z } from 'zod';
import { keyValueSettings } from '../../src/publish/sink-options.js';

/** Settings of the LMDB sink. */
export const lmdbOptions = z.strictObject({
  type: z.literal('lmdb'),
  /** Directory of the environment, or its file when the name has an extension; made when missing. */
  path: z.string().min(1),
  ...keyValueSettings,
  /** How long a publisher that fell silent keeps others out, in milliseconds. */
  leaseMs: z.int().min(1000).default(30_000),
});

/** Settings of the LMDB sink, defaults filled in. */
export type LmdbOptions = z.output<typeof lmdbOptions>;
