/** What a state remembers is bounded: a year of work under a clock of its own, and what each limit keeps. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createPipeline, foldStep, type Pipeline, type PipelineOptions, refitStep } from '#jobs/index.js';
import { contextOf, runChain } from '#jobs/job.js';
import { refit } from '#jobs/kinds/refit.js';
import { temporaryDirectory } from '../support/directory.js';
import { columnsOf, type TestEvent } from '../support/events.js';
import { onDatabase } from '../support/service.js';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.parse('2026-01-01T00:00:00Z');

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: start }));
afterEach(() => void vi.useRealTimers());

async function using<T>(
  directory: string,
  options: PipelineOptions,
  body: (p: Pipeline) => Promise<T>,
): Promise<T> {
  const p = await createPipeline(
    { fit: { density: 0.5, l2: 5 }, database: { threads: 1 }, threads: 1, ...options },
    { baseDirectory: directory },
  );
  try {
    return await body(p);
  } finally {
    await p.close();
  }
}

let sequence = 0;
beforeEach(() => {
  sequence = 0;
});

/** Appends events, and a dead letter for each of `dead`. */
async function append(p: Pipeline, events: readonly TestEvent[], dead = 0): Promise<void> {
  const first = sequence;
  sequence += events.length + dead;
  const letters = Array.from({ length: dead }, (_, k) => ({
    partition: 'p/0',
    sequence: first + events.length + k,
    code: 'no-user' as const,
    reason: 'user: expected text',
    user: undefined,
    raw: '{"item":"i1","weight":1}',
  }));
  const position = { partition: 'p/0', sequence: sequence - 1 };
  await p.parts.store.append('shop', [{ events: columnsOf(events, first), dead: letters, position }]);
}

const tables = [
  'event_ids',
  'dead_letters',
  'runs',
  'signals',
  'publications',
  'retired',
  'changes',
  'departed',
  'items',
  'inbox',
  'parts',
] as const;

/** Rows of the tables that remember, and bytes of the database, of a state that nobody has open. */
async function sizes(directory: string) {
  const counts = tables.map(t => `(SELECT count(*) FROM ${t})::INTEGER AS ${t}`).join();
  const read = async (c: DuckDBConnection) => (await c.runAndReadAll(`SELECT ${counts}`)).getRowObjectsJS();
  const [rows] = await onDatabase(join(directory, 'state', 'state.duckdb'), 'read', read);
  return {
    ...(rows as Record<Exclude<(typeof tables)[number], 'models'>, number>),
    bytes: statSync(join(directory, 'state', 'state.duckdb')).size,
    models: readdirSync(join(directory, 'state', 'models')).length,
    segments: readdirSync(join(directory, 'state', 'gramian')).length,
  };
}

it('a year of hourly work leaves no more than a week of it', { timeout: 300_000 }, async () => {
  const directory = temporaryDirectory();
  const options: PipelineOptions = {
    state: 'state',
    gramian: { mode: 'stored' },
    sinks: [{ type: 'lmdb', path: 'feed.lmdb', keep: 2 }],
    dedupe: { window: '7d' },
    deadLetters: { keep: 500, maxAge: '7d' },
    runs: { keep: 1000, maxAge: '7d' },
    models: { keep: 3 },
    publish: { k: 3 },
  };
  const months: Awaited<ReturnType<typeof sizes>>[] = [];
  for (let month = 0, now = start; month < 12; month++) {
    await using(directory, options, async p => {
      const { store } = p.parts;
      for (const end = now + 30 * day; now < end; now += day) {
        // Each day a fold of what every hour brought and a signal; each third week a refit and its publication.
        vi.setSystemTime(now);
        const n = now / day;
        const events = Array.from({ length: 24 }, (_, k) => ({
          user: `u${(n + k * 7) % 40}`,
          item: `i${(n * k + (k % 5)) % 30}`,
          op: (n + k) % 3 === 0 ? ('remove' as const) : ('add' as const),
          ts: now + k * hour,
          id: `event-${n}-${k}`,
        }));
        // something that somebody has for a day: it leaves, and for a while it is known who no longer has it
        const news = { user: `u${n % 40}`, ts: now };
        events.push(
          { ...news, item: `news-${n}`, op: 'add', id: `news-${n}` },
          { ...news, user: `u${(n - 1) % 40}`, item: `news-${n - 1}`, op: 'remove', id: `old-${n - 1}` },
        );
        await append(p, events, 12);
        await foldStep(p, { trigger: `cron:${new Date(now).toISOString()}` });
        const id = `s${n}`;
        await store.claimSignal('desk', { id, type: 'publish', options: {}, requestedAt: now });
        await store.finishSignal('desk', { id, status: 'done', message: 'published', finishedAt: now });
        await store.markReported('desk', id);
        if (n % 21 === 0) await runChain(contextOf(p, {}), refit, { kind: 'cron', time: now }, {});
      }
      expect(await p.verify()).toMatchObject({ differing: 0, broken: [] });
    });
    months.push(await sizes(directory));
  }
  const [last, middle] = [months.at(-1)!, months[5]!];
  // A week of ids and letters (26 and 12 a day), runs and signals (one a day), and what a day adds.
  expect(last.event_ids).toBeGreaterThanOrEqual(26 * 7);
  expect(last.event_ids).toBeLessThanOrEqual(26 * 8);
  expect(last.dead_letters).toBeLessThanOrEqual(12 * 8);
  expect(last.runs).toBeLessThanOrEqual(8 + 2 * 5);
  expect(last.signals).toBeLessThanOrEqual(8);
  expect(last.models).toBeLessThanOrEqual(5);
  expect(last.publications).toBeLessThanOrEqual(5);
  expect(last.retired).toBeLessThanOrEqual(2 * 2);
  expect(last.changes).toBeLessThanOrEqual(2 * 40 + 24);
  // Items leave at the refits, with what is known of their removal for the window.
  expect(last.items).toBeLessThanOrEqual(30 + 21 + 1);
  expect(last.departed).toBeLessThanOrEqual(21);
  expect(last.inbox + last.parts).toBe(0);
  expect(last.segments).toBeLessThan(20);
  expect(last.bytes).toBeLessThanOrEqual(1.2 * middle.bytes);
  expect(last.bytes).toBeLessThan(16 * 2 ** 20);
});

const events: readonly TestEvent[] = Array.from({ length: 60 }, (_, k) => ({
  user: `u${k % 9}`,
  item: `i${(k * k) % 13}`,
  ts: k,
  id: `e${k}`,
}));

it('an id is known for the window and no longer: a repeat that comes later is a new event', async () => {
  const options: PipelineOptions = {
    state: 'state',
    semantics: { interactions: 'sum' },
    dedupe: { window: '2d' },
  };
  await using(temporaryDirectory(), options, async p => {
    const { store } = p.parts;
    const take = async (at: number) => {
      vi.setSystemTime(at);
      await append(p, events.slice(0, 5));
      await foldStep(p, { trigger: 'cli' });
      return (await store.counts()).repeated;
    };
    expect(await take(start)).toBe(0);
    expect(await take(start + day)).toBe(5);
    // Removed at the end of the first fold after the window, so that one still drops them.
    expect(await take(start + 2 * day)).toBe(10);
    expect(await take(start + 2 * day + 2 * hour)).toBe(15);
    expect(await take(start + 2 * day + 4 * hour)).toBe(15);
  });
});

it('keeps the runs that keep work from being done twice', async () => {
  const options: PipelineOptions = { state: 'state', runs: { keep: 2, maxAge: '1d' } };
  await using(temporaryDirectory(), options, async p => {
    const { store } = p.parts;
    await append(p, events);
    const version = await refitStep(p, { trigger: 'cron:2026-01-01T00:00:00.000Z' });
    const ended = async (job: string, trigger: string) => {
      await store.endRun((await store.startRun(job, trigger)).id, { status: 'done', detail: '' });
    };
    await ended('publish', `refit:${version}`);
    await store.claimSignal('desk', { id: 'open', type: 'fold', options: {}, requestedAt: start });
    await ended('publish', 'signal:desk:open');
    for (let k = 0; k < 6; k++) await ended('publish', `events:${k}`);
    await ended('rollback', 'signal:desk:old');
    vi.setSystemTime(start + 30 * day);
    await append(
      p,
      events.map(e => ({ ...e, id: `later ${e.id}` })),
    );
    await foldStep(p, { trigger: 'cli' });
    const left = (await store.runs(100)).map(r => [r.job, r.trigger]);
    expect(left).toEqual([
      ['fold', 'cli'],
      ['rollback', 'signal:desk:old'],
      ['publish', 'events:5'],
      ['publish', 'signal:desk:open'],
      ['publish', `refit:${version}`],
      ['refit', 'cron:2026-01-01T00:00:00.000Z'],
    ]);
  });
});

it('a refit without new events makes no model, until its options or the interactions are others', async () => {
  const directory = temporaryDirectory();
  const sinks: PipelineOptions['sinks'] = [{ type: 'files', path: 'feed' }];
  await using(directory, { state: 'state', sinks }, async p => {
    const { store } = p.parts;
    await append(p, events);
    const run = (k: number, options = {}) =>
      runChain(contextOf(p, {}), refit, { kind: 'signal', signal: `desk:${k}` }, options);
    const first = await run(1);
    const [model] = await store.models();
    const runs = (await store.runs(100)).length;
    const again = await run(2);
    expect(again.outcome).toMatchObject({
      kind: 'idle',
      version: model!.version,
      detail: `nothing has changed since model ${model!.version}`,
    });
    expect(again.followed).toEqual([]);
    expect(refit.answer!(again)).toBe(`nothing has changed since model ${model!.version}`);
    expect(await refitStep(p, { trigger: 'cli' })).toBe(model!.version);
    expect((await store.runs(100)).length).toBe(runs);
    expect(await store.models()).toHaveLength(1);
    expect(first.followed).toHaveLength(1);

    vi.setSystemTime(start + hour);
    expect((await run(3, { l2: 77 })).outcome).toMatchObject({ kind: 'done' });
    vi.setSystemTime(start + 2 * hour);
    expect((await run(4)).outcome).toMatchObject({ kind: 'done' });
    await p.forget('u1');
    vi.setSystemTime(start + 3 * hour);
    expect((await run(5)).outcome).toMatchObject({ kind: 'done' });
    await append(p, [{ user: 'u2', item: 'i5', ts: 99 }]);
    vi.setSystemTime(start + 4 * hour);
    expect((await run(6)).outcome).toMatchObject({ kind: 'done' });
    expect(await store.models()).toHaveLength(5);
  });
});

it('publishes the present model when its publication failed', async () => {
  const directory = temporaryDirectory();
  const sinks: PipelineOptions['sinks'] = [{ type: 'files', path: 'feed' }];
  await using(directory, { state: 'state', sinks }, async p => {
    await append(p, events);
    const run = (k: number) => runChain(contextOf(p, {}), refit, { kind: 'signal', signal: `desk:${k}` }, {});
    const [sink] = p.parts.sinks;
    const { connect } = sink!;
    sink!.connect = async () => {
      throw new Error('no such host');
    };
    await expect(run(1)).rejects.toThrow('no such host');
    sink!.connect = connect;
    const chain = await run(2);
    expect(chain.outcome.kind).toBe('idle');
    expect(chain.followed.map(f => f.outcome.kind)).toEqual(['done']);
    expect((await p.parts.store.models()).map(m => m.published)).toEqual([true]);
    expect((await run(3)).followed).toEqual([]);
  });
});

it('prunes models also where nothing is published', async () => {
  await using(temporaryDirectory(), { state: 'state', models: { keep: 2 } }, async p => {
    await append(p, events);
    for (let l2 = 1; l2 < 6; l2++) {
      vi.setSystemTime(start + l2 * hour);
      await refitStep(p, { trigger: 'cli' }, { l2 });
    }
    expect(await p.parts.store.models()).toHaveLength(2);
  });
});
