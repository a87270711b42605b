import { z } from 'zod';
import { sinkSettings } from '../../src/publish/sink-options.js';

/** Settings of the file sink. */
export const filesOptions = z.strictObject({
  type: z.literal('files'),
  /** Directory of the versions and of the pointer; made when missing. One publisher owns it. */
  path: z.string().min(1),
  format: z.enum(['ndjson', 'parquet']).default('ndjson'),
  ...sinkSettings,
});

/** Settings of the file sink, defaults filled in. */
export type FilesOptions = z.output<typeof filesOptions>;
