import { z } from 'zod';
import { mappingOptions } from '../../src/mapping/index.js';
import { timeOptions } from '../../src/stages/event-time.js';

/** The path of standard input. */
export const standardInput = '-';

/** Interaction events as lines of JSON in a file, a named pipe or standard input. */
export const ndjsonSourceOptions = z.strictObject({
  type: z.literal('ndjson'),
  name: z.string().min(1).default('ndjson').describe('name of the source in the state'),
  path: z
    .string()
    .min(1)
    .default(standardInput)
    .describe('a file that grows, a named pipe, or - for standard input'),
  ...mappingOptions,
  ...timeOptions,
  batch: z
    .strictObject({
      records: z.int().min(1).max(1_000_000).default(25_000).describe('lines of one transaction at most'),
      bytes: z
        .int()
        .min(1)
        .default(32 * 2 ** 20)
        .describe('their bytes at most, but for a single line'),
      waitMs: z
        .int()
        .min(1)
        .default(250)
        .describe('of a pipe: how long lines wait for others before they go in'),
    })
    .prefault({}),
  maxRecordBytes: z
    .int()
    .min(1)
    .default(2 ** 20)
    .describe('a longer line becomes a dead letter'),
  onReplaced: z
    .enum(['refuse', 'restart'])
    .default('refuse')
    .describe('when the file is not the one that was read: stop, or read the new one from its beginning'),
});
export type NdjsonSourceOptions = z.output<typeof ndjsonSourceOptions>;
