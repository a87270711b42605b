import { z } from 'zod';

/** A connector of one's own; what else it takes is for the module to say. */
export const moduleOptions = z.looseObject({
  type: z.literal('module'),
  module: z
    .string()
    .min(1)
    .describe('path of a module, from the directory of the configuration, or name of a package'),
  name: z.string().min(1).describe('its name in the state, in status and metrics'),
});
/** The same, of a source of signals. */
export const moduleSignalOptions = moduleOptions.extend({
  pollMs: z.int().min(50).default(1000).describe('how often it is asked for signals, in milliseconds'),
});
export type ModuleOptions = z.output<typeof moduleOptions>;

/** Memory of a connector that is made without a budget. */
export const ampleBytes = 2 ** 28;
