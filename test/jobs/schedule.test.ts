import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Scheduled, startSchedules } from '#jobs/schedule.js';
import type { Ledger } from '#src/index.js';

const at = (text: string) => Date.parse(`2026-03-01T${text}Z`);

beforeEach(() => {
  vi.useFakeTimers({ now: at('12:00:01.500') });
});
afterEach(() => {
  vi.useRealTimers();
});

/** One clock every ten seconds over a ledger that is a variable; `ends` decides how each call comes back. */
async function clock(
  ends: (time: number) => Promise<boolean>,
  remembered?: number,
  ended: readonly string[] = [],
  more: Partial<Scheduled> = {},
) {
  const state = { due: remembered, calls: [] as string[], failures: [] as unknown[] };
  const ledger = {
    endedRun: async (_job: string, trigger: string) =>
      ended.includes(trigger.replace(/^cron:.*T|\.000Z$/g, '')) ? {} : undefined,
    due: async () => state.due,
    async setDue(_job: string, _expression: string, due: number) {
      state.due = due;
    },
  } as unknown as Ledger;
  const due = (_job: string, time: number) => {
    state.calls.push(new Date(time).toISOString().slice(11, 19));
    return ends(time);
  };
  const stop = await startSchedules(
    ledger,
    [{ job: 'refit', expression: '*/10 * * * * *', ...more }],
    'UTC',
    due,
    error => state.failures.push(error),
  );
  return { state, stop };
}

it('calls at every time and remembers the next', async () => {
  const { state, stop } = await clock(async () => true);
  expect(state.due).toBe(at('12:00:10'));
  await vi.advanceTimersByTimeAsync(30_000);
  expect(state.calls).toEqual(['12:00:10', '12:00:20', '12:00:30']);
  expect(state.due).toBe(at('12:00:40'));
  await stop();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(state.calls).toHaveLength(3);
});

it('makes up once for what came due before the start', async () => {
  const { state, stop } = await clock(async () => true, at('11:59:10'));
  await vi.advanceTimersByTimeAsync(0);
  expect(state.calls).toEqual(['11:59:10']);
  expect(state.due).toBe(at('12:00:10'));
  await stop();
});

it('makes up for what came due after a run that an earlier process ended without what follows it', async () => {
  const { state, stop } = await clock(async () => true, at('11:59:10'), ['11:59:10']);
  await vi.advanceTimersByTimeAsync(0);
  expect(state.calls).toEqual(['11:59:10', '11:59:20']);
  await vi.advanceTimersByTimeAsync(9000);
  expect(state.calls).toEqual(['11:59:10', '11:59:20', '12:00:10']);
  expect(state.due).toBe(at('12:00:20'));
  await stop();
});

it('makes up once for what came due while the process was held up', async () => {
  const { state, stop } = await clock(async () => true);
  vi.setSystemTime(at('12:01:05'));
  await vi.advanceTimersByTimeAsync(20_000);
  expect(state.calls).toEqual(['12:00:10', '12:01:20']);
  expect(state.due).toBe(at('12:01:30'));
  await stop();
});

it('remembers the earliest time whose job has not ended', async () => {
  const ended = new Map<number, (ended: boolean) => void>();
  const { state, stop } = await clock(time => new Promise(done => ended.set(time, done)));
  await vi.advanceTimersByTimeAsync(20_000);
  expect(state.calls).toEqual(['12:00:10', '12:00:20']);
  expect(state.due).toBe(at('12:00:10'));
  ended.get(at('12:00:20'))!(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(state.due).toBe(at('12:00:10'));
  ended.get(at('12:00:10'))!(false);
  await stop();
  expect(state.due).toBe(at('12:00:10'));
});

it('hands a failing ledger to its owner', async () => {
  const { state, stop } = await clock(async () => {
    throw new Error('the disk is full');
  });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(state.failures).toEqual([new Error('the disk is full')]);
  await stop();
});

it('is not held up by a time that a wrong clock left far ahead', async () => {
  const { state, stop } = await clock(async () => true, at('12:00:10') + 365 * 86_400_000);
  expect(state.due).toBe(at('12:00:10'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(state.calls).toEqual(['12:00:10']);
  await stop();
});

it('goes on within a minute when its clock is set back while it runs', async () => {
  vi.setSystemTime(at('18:00:01.500'));
  const { state, stop } = await clock(async () => true);
  await vi.advanceTimersByTimeAsync(10_000);
  vi.setSystemTime(at('12:00:12'));
  await vi.advanceTimersByTimeAsync(30_000);
  expect(state.calls).toEqual(['18:00:10', '12:00:30', '12:00:40']);
  expect(state.due).toBe(at('12:00:50'));
  await stop();
});

it('makes up for nothing with catchUp: none, at the start and while it was held up', async () => {
  const { state, stop } = await clock(async () => true, at('11:50:00'), [], { catchUp: 'none' });
  await vi.advanceTimersByTimeAsync(0);
  expect(state.calls).toEqual([]);
  expect(state.due).toBe(at('12:00:10'));
  await vi.advanceTimersByTimeAsync(9000);
  expect(state.calls).toEqual(['12:00:10']);
  vi.setSystemTime(at('12:10:05'));
  await vi.advanceTimersByTimeAsync(16_000);
  expect(state.calls).toEqual(['12:00:10', '12:10:20']);
  await stop();
});

it('begins up to the jitter later, for the time that was due', async () => {
  const random = vi.spyOn(Math, 'random').mockReturnValue(0.75);
  const { state, stop } = await clock(async () => true, undefined, [], { jitterMs: 4000 });
  await vi.advanceTimersByTimeAsync(11_000); // 12:00:12.5
  expect(state.calls).toEqual([]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(state.calls).toEqual(['12:00:10']);
  expect(state.due).toBe(at('12:00:20'));
  await stop();
  random.mockRestore();
});

/** The local day of a time, as 2026-03-29. */
const dayIn = (timeZone: string, time: number): string =>
  new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short' }).format(time);

// The clocks go on and back in both zones within these days: 29 March, 25 October; 8 March, 1 November.
it.each([
  ['Europe/Prague', '2026-02-01'],
  ['Europe/Prague', '2026-09-15'],
  ['America/New_York', '2026-02-01'],
  ['America/New_York', '2026-09-15'],
])('calls once for each day of 90 in %s from %s', async (zone, from) => {
  const days = 90;
  vi.setSystemTime(Date.parse(`${from}T12:00:00Z`));
  const expressions = ['30 2 * * *', '30 1 * * *', '59 23 * * *'];
  const called = new Map(expressions.map(e => [e, [] as number[]]));
  const ledger = {
    endedRun: async () => undefined,
    due: async () => undefined,
    setDue: async () => undefined,
  } as unknown as Ledger;
  const scheduled = expressions.map(expression => ({ job: expression, expression }));
  const fail = (error: unknown) => expect.unreachable(String(error));
  const due = async (job: string, time: number) => called.get(job)!.push(time) > 0;
  const stop = await startSchedules(ledger, scheduled, zone, due, fail);
  // Clocks look at the time each minute: one look an hour is enough here.
  for (let hour = 0; hour < days * 24; hour++) {
    vi.setSystemTime(Date.now() + 59 * 60_000);
    await vi.advanceTimersByTimeAsync(60_000);
  }
  await stop();
  for (const [expression, times] of called) {
    const found = times.map(time => dayIn(zone, time));
    expect([expression, found.length, new Set(found).size]).toEqual([expression, days, days]);
  }
});
