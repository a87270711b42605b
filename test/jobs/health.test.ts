/** Health and lag from what probes and sources tell: each outage is told once, and lag counts from the last time of none. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Health } from '#jobs/health.js';
import { createProbe } from '#src/runtime/probe.js';

const pipeline = { parts: { sources: [{ name: 'shop' }], sinks: [{ name: 'redis' }] } };
const sink = { kind: 'sink', name: 'redis' } as const;

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

it('tells each outage and each recovery once, unless others do', () => {
  const told: unknown[] = [];
  const health = new Health(pipeline, (part, problem) => told.push([part.name, problem]));
  health.found(sink, undefined);
  health.found(sink, new Error('refused'));
  health.found(sink, new Error('no answer'));
  expect(health.parts).toEqual([
    { kind: 'source', name: 'shop', problem: undefined },
    { ...sink, problem: 'no answer' },
  ]);
  health.found(sink, undefined);
  health.found({ kind: 'source', name: 'shop' }, new Error('no table'), true);
  expect(health.parts[0]!.problem).toBe('no table');
  expect(told).toEqual([
    ['redis', 'refused'],
    ['redis', undefined],
  ]);
});

it('knows lag only where somebody looked, and counts it from the last time of none', () => {
  const health = new Health(pipeline, () => undefined);
  health.taken('shop', [{ partition: 't/0', sequence: 9 }]);
  expect(health.lags).toEqual([]);
  health.ends('shop', [
    { partition: 't/0', end: 9 },
    { partition: 't/1', end: -1 },
  ]);
  vi.advanceTimersByTime(5000);
  expect(health.lags.map(l => [l.partition, l.events, l.seconds])).toEqual([
    ['t/0', 0, 0],
    ['t/1', 0, 0],
  ]);
  health.ends('shop', [{ partition: 't/0', end: 29 }]);
  vi.advanceTimersByTime(3000);
  health.taken('shop', [{ partition: 't/0', sequence: 19 }]);
  expect(health.lags[0]).toEqual({ source: 'shop', partition: 't/0', events: 10, seconds: 8 });
  health.taken('shop', [{ partition: 't/0', sequence: 29 }]);
  expect(health.lags[0]).toMatchObject({ events: 0, seconds: 0 });
});

it('keeps the connection of a probe, and makes another after a failure or a silence', async () => {
  vi.useRealTimers();
  let [opened, closed] = [0, 0];
  let answer: () => Promise<string> = async () => 'well';
  const probe = createProbe({
    open: async () => ++opened,
    ask: () => answer(),
    close: () => closed++,
  });
  expect([await probe.look(100), await probe.look(100), opened]).toEqual(['well', 'well', 1]);
  answer = () => Promise.reject(new Error('gone'));
  await expect(probe.look(100)).rejects.toThrow('gone');
  answer = () => new Promise(() => undefined);
  await expect(probe.look(50)).rejects.toThrow('no answer within 50 ms');
  answer = async () => 'back';
  expect([await probe.look(100), opened]).toEqual(['back', 3]);
  await probe.close();
  expect(closed).toBe(3);
});
