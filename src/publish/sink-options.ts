import { z } from 'zod';
import { sizePattern } from '../size.js';

/** Settings that all sinks have. */
export const sinkSettings = {
  /** Newest versions kept beside those that an alias names. */
  keep: z.int().min(0).default(2),
  /** A publication estimated to take more is refused before anything is written. */
  maxBytes: z.string().regex(sizePattern, 'expected a size such as 2GiB').optional(),
};

/** Settings that all key-value sinks have. */
export const keyValueSettings = {
  ...sinkSettings,
  /** First part of every key. One publisher at a time owns a prefix; several prefixes may share a store. */
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"')
    .default('sansa'),
  /** Encoding of the lists. */
  encoding: z.enum(['json', 'msgpack']).default('json'),
  /** versions: each publication beside the last; inplace: only lists that changed, over the old ones. */
  mode: z.enum(['versions', 'inplace']).default('versions'),
};
