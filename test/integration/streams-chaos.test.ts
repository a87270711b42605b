/** A stage that is killed while lines and requests come takes every event once; `npm run -s chaos -- streams` does more. */
import { expect, it } from 'vitest';
import { pipeTrial, pushTrial } from '../../dist/test/chaos/streams.js';
import { seeded } from '../support/random.js';

const trial = { kills: 3, random: seeded(17), log: () => undefined };

it('through a pipe', async () => {
  expect(await pipeTrial({ ...trial, lines: 30_000 })).toEqual({
    sent: 30_000,
    kills: 3,
    lost: 0,
    twice: false,
  });
});

it('by requests', async () => {
  const counted = await pushTrial({ ...trial, requests: 60, events: 20 });
  expect(counted).toEqual({ sent: 1200, kills: 3, lost: 0, twice: false });
});
