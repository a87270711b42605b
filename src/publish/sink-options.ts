import { z } from 'zod';
import { sizePattern } from '../size.js';

/** Settings that all sinks have. */
export const sinkSettings = {
  keep: z.int().min(0).default(2).describe('newest versions kept beside those that an alias names'),
  maxBytes: z
    .string()
    .regex(sizePattern, 'expected a size such as 2GiB')
    .optional()
    .describe('a publication estimated to take more is refused before anything is written'),
};

/** The lease of a sink, by its default in milliseconds. */
export const leaseSetting = (defaultMs = 30_000) => ({
  leaseMs: z
    .int()
    .min(1000)
    .default(defaultMs)
    .describe('how long a publisher that fell silent keeps others out'),
});

/** Settings that all key-value sinks have. */
export const keyValueSettings = {
  ...sinkSettings,
  ...leaseSetting(),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"')
    .default('sansa')
    .describe('first part of every key; one publisher at a time writes under a prefix'),
  encoding: z.enum(['json', 'msgpack']).default('json').describe('encoding of the lists'),
  mode: z
    .enum(['versions', 'inplace'])
    .default('versions')
    .describe(
      'versions: each publication beside the last; inplace: only lists that changed, over the old ones',
    ),
};
const keyValueOptions = z.object(keyValueSettings);
export type KeyValueOptions = z.output<typeof keyValueOptions>;
