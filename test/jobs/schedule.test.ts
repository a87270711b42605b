import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { startSchedules } from '#jobs/schedule.js';
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
    [{ job: 'refit', expression: '*/10 * * * * *' }],
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
