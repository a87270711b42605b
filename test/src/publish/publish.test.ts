import { describe, expect, it } from 'vitest';
import { type ListKind, type RankedList, type Sink, silent } from '#src/connector.js';
import { StageError } from '#src/errors.js';
import { type ListBatch, publish } from '#src/publish/publish.js';
import { superseded } from '#src/publish/retention.js';
import { manifestOf } from '../../support/manifest.js';
import { ranked } from '../../support/sink-suite.js';

type Step = 'begin' | 'write' | 'finish' | 'point' | 'prune';

/** A sink in memory that notes each call in `calls` and fails in the step `fails`. */
function memorySink(name: string, calls: string[], fails?: Step) {
  const versions = new Map<string, Map<string, RankedList>>();
  let open = { version: '', lists: new Map<string, RankedList>() };
  let current: string | undefined;
  async function note(step: Step, detail: unknown): Promise<void> {
    calls.push(`${name} ${step} ${detail}`);
    await new Promise(resolve => setImmediate(resolve));
    if (step === fails) throw new StageError('SINK_FAILED', `no room in ${name}`);
    calls.push(`${name} ${step} done`);
  }
  const sink: Sink = {
    name,
    keep: 2,
    async connect() {},
    async begin({ version }) {
      await note('begin', version);
      open = { version, lists: new Map() };
    },
    async write(kind, lists) {
      await note('write', kind);
      for (const list of lists) open.lists.set(`${kind} ${list.id}`, list);
    },
    async finish() {
      await note('finish', open.version);
      versions.set(open.version, open.lists);
    },
    async point(version) {
      await note('point', version);
      current = version;
    },
    current: async () => current,
    get: async (kind, id) => versions.get(current ?? '')?.get(`${kind} ${id}`),
    prune: keep => note('prune', keep),
    async close() {},
  };
  return sink;
}

async function* batches(calls: string[] = []): AsyncGenerator<ListBatch> {
  const made: [ListKind, RankedList[]][] = [
    ['users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]],
    ['items', [ranked('a', ['b'])]],
  ];
  for (const [kind, lists] of made) {
    calls.push(`make ${kind}`);
    yield { kind, lists };
  }
  calls.push('made');
}

const index = (calls: string[], part: string) => calls.findIndex(call => call.includes(part));
const lastIndex = (calls: string[], part: string) => calls.findLastIndex(call => call.includes(part));

describe('publish', () => {
  it('writes every list to every sink and counts them once', async () => {
    const sinks = [memorySink('a', []), memorySink('b', [])];
    const summary = await publish({ manifest: manifestOf('v1'), lists: batches(), sinks, log: silent });
    expect(summary).toMatchObject({ version: 'v1', users: 2, items: 1 });
    expect(summary.seconds).toBeGreaterThan(0);
    expect(summary.listsPerSecond).toBeGreaterThan(0);
    for (const sink of sinks) {
      expect(await sink.current()).toBe('v1');
      expect(await sink.get!('users', 'x')).toEqual(ranked('x', ['a', 'b']));
      expect(await sink.get!('items', 'a')).toEqual(ranked('a', ['b']));
    }
  });

  it('ends each step in all sinks before the next: pointers last, then prune', async () => {
    const calls: string[] = [];
    const sinks = [memorySink('a', calls), memorySink('b', calls)];
    await publish({ manifest: manifestOf('v1'), lists: batches(calls), sinks, log: silent });
    const order = [
      'begin',
      'make users',
      'write users',
      'make items',
      'write items',
      'finish',
      'point',
      'prune',
    ];
    for (const [k, step] of order.slice(1).entries())
      expect(lastIndex(calls, order[k]!), `${order[k]} before ${step}`).toBeLessThan(index(calls, step));
    // A batch is asked for when every sink has taken the one before.
    expect(
      calls.slice(0, index(calls, 'make items')).filter(call => call.endsWith('write done')),
    ).toHaveLength(2);
    expect(calls).toContain('a prune 2');
  });

  it.each(['begin', 'write', 'finish'] as const)('moves no pointer when one sink fails to %s', async step => {
    const calls: string[] = [];
    const sinks = [memorySink('good', calls), memorySink('bad', calls, step)];
    const running = publish({ manifest: manifestOf('v1'), lists: batches(calls), sinks, log: silent });
    await expect(running).rejects.toMatchObject({
      code: 'SINK_FAILED',
      message: expect.stringMatching(new RegExp(`to ${step} .*v1, found bad: no room in bad$`)),
    });
    expect(index(calls, 'point')).toBe(-1);
    expect(index(calls, 'prune')).toBe(-1);
    expect(calls.some(call => call === `good ${step} done`)).toBe(true);
    for (const sink of sinks) expect(await sink.current()).toBeUndefined();
  });

  it('names every sink that failed, in one error', async () => {
    const sinks = [memorySink('a', [], 'write'), memorySink('b', []), memorySink('c', [], 'write')];
    const running = publish({ manifest: manifestOf('v1'), lists: batches(), sinks, log: silent });
    await expect(running).rejects.toThrow(/a: no room in a; c: no room in c/);
  });

  it('recovers by publishing again', async () => {
    const good = memorySink('good', []);
    const run = (sink: Sink) =>
      publish({ manifest: manifestOf('v1'), lists: batches(), sinks: [good, sink], log: silent });
    await expect(run(memorySink('bad', [], 'point'))).rejects.toMatchObject({ code: 'SINK_FAILED' });
    const mended = memorySink('bad', []);
    expect(await run(mended)).toMatchObject({ users: 2, items: 1 });
    for (const sink of [good, mended]) expect(await sink.current()).toBe('v1');
  });

  it('logs a failing prune and succeeds', async () => {
    const warned: object[] = [];
    const log = { ...silent, warn: (fields: object) => void warned.push(fields) };
    await publish({
      manifest: manifestOf('v1'),
      lists: batches(),
      sinks: [memorySink('a', [], 'prune')],
      log,
    });
    expect(warned).toEqual([{ sink: 'a', error: 'no room in a' }]);
  });

  it('passes on the error of the lists and stops the lists when a sink fails', async () => {
    const calls: string[] = [];
    async function* failing(): AsyncGenerator<ListBatch> {
      yield { kind: 'users', lists: [] };
      throw new StageError('STATE_EMPTY', 'no users');
    }
    const sinks = [memorySink('a', calls)];
    const running = publish({ manifest: manifestOf('v1'), lists: failing(), sinks, log: silent });
    await expect(running).rejects.toMatchObject({ code: 'STATE_EMPTY' });
    expect(index(calls, 'finish')).toBe(-1);

    let closed = false;
    async function* watched(): AsyncGenerator<ListBatch> {
      try {
        yield* batches();
      } finally {
        closed = true;
      }
    }
    const bad = [memorySink('bad', [], 'write')];
    await expect(
      publish({ manifest: manifestOf('v1'), lists: watched(), sinks: bad, log: silent }),
    ).rejects.toThrow();
    expect(closed).toBe(true);
  });

  it.each([
    [{ id: 'x', items: ['a', 'b'], scores: [1] }, /2 items, found 1 scores.*x in users/],
    [{ id: 'x', items: ['a'], scores: [1, 2] }, /1 items, found 2 scores/],
    [{ id: 'x', items: ['a', 'b'], scores: [1, Number.NaN] }, /found NaN at rank 2/],
  ])('refuses the malformed list %o', async (list, message) => {
    const calls: string[] = [];
    async function* lists(): AsyncGenerator<ListBatch> {
      yield { kind: 'users', lists: [list] };
    }
    const sinks = [memorySink('a', calls)];
    const running = publish({ manifest: manifestOf('v1'), lists: lists(), sinks, log: silent });
    await expect(running).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(message),
    });
    expect(index(calls, 'write')).toBe(-1);
  });
});

describe('superseded', () => {
  const made = (version: string, minute: number) => manifestOf(version, minute);
  const finished = [made('v9', 1), made('v10', 2), made('v2', 3)];

  it('spares the newest by creation time, and the current one', () => {
    expect(superseded(finished, undefined, 1)).toEqual(['v10', 'v9']);
    expect(superseded(finished, 'v9', 1)).toEqual(['v10']);
    expect(superseded(finished, 'v2', 0)).toEqual(['v10', 'v9']);
    expect(superseded(finished, 'v9', 3)).toEqual([]);
  });
});
