import { z } from 'zod';
import { mappingOptions } from '../../src/mapping/index.js';
import { timeOptions } from '../../src/stages/event-time.js';

/** Interaction events that other programs send by HTTP. */
export const pushSourceOptions = z.strictObject({
  type: z.literal('push'),
  name: z
    .string()
    .regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"')
    .default('push')
    .describe('name of the source in the state, and in its path /events/NAME'),
  token: z
    .string()
    .min(16)
    .optional()
    .describe('bearer token of those who send events; default: that of `http`'),
  ...mappingOptions,
  ...timeOptions,
  maxRequestBytes: z
    .int()
    .min(1)
    .default(4 * 2 ** 20)
    .describe('a larger request is refused'),
  maxWaitingBytes: z
    .int()
    .min(1)
    .default(32 * 2 ** 20)
    .describe('requests that wait for the state have this many bytes at most; more are told to come again'),
  maxRecordBytes: z
    .int()
    .min(1)
    .default(2 ** 20)
    .describe('a longer record becomes a dead letter'),
});
export type PushSourceOptions = z.output<typeof pushSourceOptions>;
