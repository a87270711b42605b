import { z } from 'zod';
import { topicNames } from './names.js';
import { connectionOptions } from './options.js';

/** Commands in a topic, answered in the models topic. */
export const kafkaSignalOptions = z.strictObject({
  type: z.literal('kafka'),
  ...connectionOptions,
  ...topicNames,
  topic: z.string().min(1).optional().describe('commands are produced here; default `<prefix>.signals`'),
  pollMs: z.int().min(50).default(1000).describe('how often what has come is looked at, in milliseconds'),
});
export type KafkaSignalOptions = z.output<typeof kafkaSignalOptions>;
