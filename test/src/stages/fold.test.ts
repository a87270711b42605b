/** A fold that does not fit the memory halves its batch, down to a floor. */
import { expect, it } from 'vitest';
import { silent } from '#src/contracts/index.js';
import { createGramianKeeper } from '#src/stages/gramian.js';
import { stageOptions } from '#src/stages/options.js';
import type { PipelineParts } from '#src/stages/parts.js';
import { temporaryDirectory } from '../../support/directory.js';

/** A store in which `waiting` events wait and that folds `most` of them at a time. */
function storeOf(waiting: number, most: number) {
  const tried: number[] = [];
  const store = {
    gramian: async () => ({ mode: 'implicit', userWeighting: 0 }),
    frame: async () => ({}),
    nextFrame: async () => ({}),
    setGramian: async () => undefined,
    pending: async () => waiting,
    folded: async () => 1_000_000 - waiting,
    counts: async () => ({ users: 1, items: 1, pairs: 1, interactions: 1, inbox: waiting, valued: false }),
    async fold(limit: number) {
      tried.push(limit);
      if (Math.min(limit, waiting) > most) throw new Error('Out of Memory Error: failed to pin block');
      const events = Math.min(limit, waiting);
      waiting -= events;
      return { events, users: events, segment: undefined };
    },
  };
  const options = stageOptions.parse({ gramian: { mode: 'implicit' } });
  const parts = { store, options, log: silent, fitMemoryBytes: 2 ** 28 };
  return { tried, keeper: createGramianKeeper(parts as unknown as PipelineParts) };
}

it('folds all in batches that fit', async () => {
  const { tried, keeper } = storeOf(1_000_000, 300_000);
  expect(await keeper.fold()).toMatchObject({ events: 1_000_000 });
  expect(tried).toEqual([Number.POSITIVE_INFINITY, 500_000, 250_000, 250_000, 250_000, 250_000, 250_000]);
});

it('gives up below the smallest batch', async () => {
  const { tried, keeper } = storeOf(1_000_000, 10);
  await expect(keeper.fold()).rejects.toMatchObject({
    code: 'MEMORY_BUDGET',
    message: expect.stringMatching(
      /^a fold of 5000 events does not fit the memory, .*: failed to pin block;/,
    ),
  });
  expect(tried.at(-1)).toBe(5_000);
});

it('computes the Gramian of one vast history that passes the memory, and stores nothing of it', async () => {
  const { keeper, modes } = storeOfWhale();
  await keeper.fold();
  expect([...new Set(modes)]).toEqual(['implicit']);
});

/** A store whose one user has 200,000 items, and the modes that it is moved to. */
function storeOfWhale() {
  const modes: string[] = [];
  const store = {
    gramian: async () => undefined,
    frame: async () => ({}),
    nextFrame: async () => ({}),
    setGramian: async ({ mode }: { mode: string }) => void modes.push(mode),
    segments: async () => [],
    replaceSegments: async () => undefined,
    folded: async () => 0,
    counts: async () => ({ users: 1, items: 200_000, pairs: 4e10, interactions: 200_000, valued: false }),
    fold: async () => ({ events: 200_000, users: 1, segment: undefined }),
    interactions: () => Promise.reject(new Error('the Gramian was to be stored')),
  };
  const parts = {
    store,
    options: stageOptions.parse({}),
    log: silent,
    fitMemoryBytes: 25 * 2 ** 20,
    directory: temporaryDirectory(),
  };
  return { modes, keeper: createGramianKeeper(parts as unknown as PipelineParts) };
}
