import { z } from 'zod';
import { leaseSetting, sinkSettings } from '../../src/publish/sink-options.js';
import { topicNames } from './names.js';
import { connectionOptions } from './options.js';

/** Manifests, weights and lists in Kafka topics. */
export const kafkaSinkOptions = z.strictObject({
  type: z.literal('kafka'),
  ...connectionOptions,
  ...topicNames,
  encoding: z.enum(['json', 'msgpack']).default('json').describe('encoding of the lists'),
  ...sinkSettings,
  ...leaseSetting(60_000),
  compression: z
    .enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
    .default('lz4')
    .describe('of lists and weights'),
  partitions: z.int().min(1).max(1000).default(4).describe('of the list topics, when they are made'),
  replication: z.int().min(1).optional().describe("copies of new topics; default: the broker's"),
  retainMs: z
    .int()
    .min(60_000)
    .default(86_400_000)
    .describe('min.compaction.lag.ms of new list topics: how long overwritten lists can be rolled back to'),
  chunkBytes: z.int().min(1024).default(524_288).describe('of the weights, below max.message.bytes'),
  transactionMs: z
    .int()
    .min(1000)
    .default(900_000)
    .describe("longest publication; at most the broker's transaction.max.timeout.ms"),
});

/** Settings of the Kafka sink, defaults filled in. */
export type KafkaSinkOptions = z.output<typeof kafkaSinkOptions>;
