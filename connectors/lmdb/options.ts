import { z } from 'zod';

/** Settings of the LMDB sink. */
export const lmdbOptions = z.strictObject({
  type: z.literal('lmdb'),
  /** Directory of the environment, or its file when the name has an extension; made when missing. */
  path: z.string().min(1),
  /** First part of every key. One publisher owns a prefix; several prefixes may share an environment. */
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"')
    .default('sansa'),
  /** Encoding of every value, the pointer included. */
  encoding: z.enum(['json', 'msgpack']).default('json'),
  /** Newest versions kept beside the current one. */
  keep: z.int().min(0).default(2),
});

/** Settings of the LMDB sink, defaults filled in. */
export type LmdbOptions = z.output<typeof lmdbOptions>;
