import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keepGoing } from '#jobs/retry.js';
import { StageError, silent } from '#src/index.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Runs `steps` one after the other as one body that never returns by itself, and tells what was logged. */
async function follow(steps: readonly ('out' | 'well' | 'wait')[]) {
  const said: string[] = [];
  const pauses: number[] = [];
  const stop = new AbortController();
  const log = {
    ...silent,
    info: (_: object, message: string) => void said.push(message),
    error: (fields: object, message: string) => {
      said.push(message);
      pauses.push((fields as { pauseMs: number }).pauseMs);
    },
  };
  const left = [...steps];
  const tries: number[] = [];
  const trying = { what: 'source', firstPauseMs: 100, signal: stop.signal, log };
  const ended = keepGoing(1000, trying, async well => {
    tries.push(Date.now());
    for (let step = left.shift(); step; step = left.shift()) {
      if (step === 'out') throw new StageError('SOURCE_UNREADABLE', 'the broker is away');
      if (step === 'well') well();
      else await new Promise(done => setTimeout(done, 1));
    }
    stop.abort();
  });
  await vi.advanceTimersByTimeAsync(60_000);
  await ended;
  return { said, gaps: tries.slice(1).map((at, k) => at - tries[k]!), pauses };
}

it('logs each outage once, and each recovery, of a body that waits and does not return', async () => {
  const { said, gaps, pauses } = await follow([
    'out',
    'out',
    'out',
    'well',
    'wait',
    'well',
    'out',
    'out',
    'well',
  ]);
  expect(said).toEqual(['the broker is away', 'works again', 'the broker is away', 'works again']);
  expect(gaps).toEqual([100, 200, 400, 101, 200]);
  expect(pauses).toEqual([100, 100]);
});
