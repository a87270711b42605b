import { z } from 'zod';
import { leaseSetting, sinkSettings } from '../../src/publish/sink-options.js';

/** Settings of the file sink. */
export const filesOptions = z.strictObject({
  type: z.literal('files'),
  path: z.string().min(1).describe('directory of the versions and of the pointers; made when missing'),
  format: z.enum(['ndjson', 'parquet']).default('ndjson').describe('format of the lists'),
  vectors: z
    .enum(['safetensors', 'parquet'])
    .default('safetensors')
    .describe('format of the vectors, where they are published'),
  ...sinkSettings,
  ...leaseSetting(),
});

/** Settings of the file sink, defaults filled in. */
export type FilesOptions = z.output<typeof filesOptions>;
