import { expect, it } from 'vitest';
import { keepGoing } from '#jobs/retry.js';
import { StageError, silent } from '#src/index.js';

/** Runs `steps` one after the other in a body that does not return by itself; tells what was logged, with pauses. */
async function follow(steps: readonly ('out' | 'well')[]): Promise<(string | number)[]> {
  const said: (string | number)[] = [];
  const stop = new AbortController();
  const log = {
    ...silent,
    info: (_: object, message: string) => void said.push(message),
    error: (fields: object, message: string) =>
      void said.push(message, (fields as { pauseMs: number }).pauseMs),
  };
  const left = [...steps];
  await keepGoing(1000, { what: 'source', firstPauseMs: 2, signal: stop.signal, log }, async well => {
    for (let step = left.shift(); step; step = left.shift()) {
      if (step === 'out') throw new StageError('SOURCE_UNREADABLE', 'the broker is away');
      well();
    }
    stop.abort();
  });
  return said;
}

it('logs each outage and each recovery once, of a body that waits and does not return', async () => {
  expect(await follow(['out', 'out', 'out', 'well', 'well', 'out', 'out', 'well'])).toEqual([
    'the broker is away',
    2,
    'worked again',
    'the broker is away',
    2,
    'worked again',
  ]);
});

it('pauses longer and longer while nothing is well', async () => {
  const started = performance.now();
  expect(await follow(['out', 'out', 'out', 'out', 'out'])).toEqual([
    'the broker is away',
    2,
    'worked again',
  ]);
  expect(performance.now() - started).toBeGreaterThan(2 + 4 + 8 + 16 + 32 - 10);
});
