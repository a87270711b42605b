import { z } from 'zod';
import type { ListKind } from '../../src/contracts/sink.js';

const topic = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,249}$/, 'expected a topic name')
  .optional();

/** Names of the topics of models and lists; each follows from the prefix unless it is given. */
export const topicNames = {
  /** First part of topic names and of transactional ids. One publisher at a time owns a prefix. */
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 letters, digits, ".", "_" or "-"')
    .default('sansa'),
  topics: z.strictObject({ models: topic, weights: topic, users: topic, items: topic }).prefault({}),
};

/** The topics of one prefix. */
export interface Topics {
  readonly models: string;
  readonly weights: string;
  readonly lists: Readonly<Record<ListKind, string>>;
}

/** The names in use, given or from the prefix. */
export function topicsOf(options: {
  readonly prefix: string;
  readonly topics?: { readonly [name in 'models' | 'weights' | ListKind]?: string | undefined } | undefined;
}): Topics {
  const { prefix, topics = {} } = options;
  return {
    models: topics.models ?? `${prefix}.models`,
    weights: topics.weights ?? `${prefix}.weights`,
    lists: {
      users: topics.users ?? `${prefix}.topk.users`,
      items: topics.items ?? `${prefix}.topk.items`,
    },
  };
}
