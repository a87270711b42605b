/** The line about each source, once a minute: idle and busy look different, and nothing is said after the stop. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { reportIngest } from '#jobs/ingest-report.js';
import { logContext } from '#jobs/log-context.js';
import { silent } from '#src/contracts/index.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const batch = { codes: {}, positions: [], commitSeconds: 0.01 };

it('sums up a minute of each source, and begins anew', () => {
  const said: object[] = [];
  const log = {
    ...silent,
    info: (fields: object, msg: string) => void said.push({ ...logContext(), ...fields, msg }),
  };
  const stop = new AbortController();
  const report = reportIngest(['shop', 'app'], log, stop.signal);
  report.batch!('shop', { ...batch, read: 700, events: 600, deadLetters: 40 });
  report.batch!('shop', { ...batch, read: 600, events: 600, deadLetters: 0 });
  report.caughtUp!('app');
  vi.advanceTimersByTime(60_000);
  expect(said).toEqual([
    {
      component: 'ingest',
      source: 'shop',
      events: 1200,
      eventsPerSecond: 20,
      skipped: 60,
      deadLetters: 40,
      caughtUp: false,
      msg: 'events ingested',
    },
    expect.objectContaining({ source: 'app', events: 0, caughtUp: true, msg: 'no events came' }),
  ]);
  vi.advanceTimersByTime(60_000);
  expect(said.slice(2)).toEqual([
    expect.objectContaining({ source: 'shop', events: 0, caughtUp: false, msg: 'no events came' }),
    expect.objectContaining({ source: 'app', events: 0, caughtUp: false, msg: 'no events came' }),
  ]);
  stop.abort();
  vi.advanceTimersByTime(600_000);
  expect(said).toHaveLength(4);
});
