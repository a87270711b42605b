import { z } from 'zod';
import { elsaCommon } from '../elsa/options.js';

/** Compressed ELSA: sparse factors, whose dimensions are popular items. */
export const compressedElsaOptions = z.strictObject({
  solver: z.literal('compressed-elsa').default('compressed-elsa'),
  ...elsaCommon(1024, 0.05),
  kept: z.int().min(1).max(8192).default(32).describe('entries kept of an item’s dimensions'),
});
export type CompressedElsaOptions = z.output<typeof compressedElsaOptions>;
