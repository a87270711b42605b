/** Answers from the models. */
import { z } from 'zod';
import type { RankedList } from '../../src/contracts/index.js';
import { operation } from './operation.js';

const version = z.string().min(1).optional();
const id = z.string().min(1);
const listLength = z.int().min(1).max(10_000).default(20);

const plain = ({ id, items, scores }: RankedList) => ({
  id,
  items: items.map((item, r) => ({ item, score: scores[r]! })),
});

export const recommend = operation({
  parameters: z.strictObject({ user: id, k: listLength, version }),
  run: async ({ pipeline }, { user, k, version }) => plain(await pipeline.recommend(user, k, version)),
});

export const similar = operation({
  parameters: z.strictObject({ item: id, k: listLength, version }),
  run: async ({ pipeline }, { item, k, version }) => plain(await pipeline.similar(item, k, version)),
});

export const explain = operation({
  parameters: z.strictObject({ user: id, item: id, version }),
  run: ({ pipeline }, { user, item, version }) => pipeline.explain(user, item, version),
});

export const segments = operation({
  parameters: z.strictObject({ k: listLength.default(10), version }),
  run: async ({ pipeline }, { k, version }) => ({ segments: await pipeline.segments(k, version) }),
});
