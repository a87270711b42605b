import { describe, expect, it } from 'vitest';
import { type ListKind, type RankedList, type Sink, type SinkVersion, silent } from '#src/contracts/index.js';
import { type ErrorCode, StageError } from '#src/errors.js';
import type { ListBatch, ListSource } from '#src/publish/list-source.js';
import { type PublishOptions, publish } from '#src/publish/publish.js';
import { superseded } from '#src/publish/retention.js';
import { manifestOf } from '../../support/manifest.js';
import { ranked } from '../../support/sink-suite.js';

type Step = 'begin' | 'write' | 'finish' | 'point' | 'prune';

/** A sink in memory that notes each call in `calls` and fails in the step `fails`. */
function memorySink(name: string, calls: string[], fails?: Step, code: ErrorCode = 'SINK_FAILED') {
  const versions = new Map<string, Map<string, RankedList>>();
  const held = new Map<string, SinkVersion>();
  let open = { version: '', lists: new Map<string, RankedList>() };
  let current: string | undefined;
  async function note(step: Step, detail: unknown): Promise<void> {
    calls.push(`${name} ${step} ${detail}`);
    await new Promise(resolve => setImmediate(resolve));
    if (step === fails) throw new StageError(code, `no room in ${name}`);
    calls.push(`${name} ${step} done`);
  }
  const sink: Sink = {
    name,
    keep: 2,
    async connect() {},
    async begin({ version, content, ordinal, publishedAt = '' }) {
      await note('begin', version);
      open = { version, lists: new Map() };
      held.set(version, {
        version,
        content,
        ordinal,
        publishedAt,
        complete: false,
        lists: { users: 0, items: 0 },
      });
      return { users: 0, items: 0 };
    },
    async write(kind, lists) {
      await note('write', kind);
      for (const list of lists) open.lists.set(`${kind} ${list.id}`, list);
      return lists.length;
    },
    async finish() {
      await note('finish', open.version);
      versions.set(open.version, open.lists);
      const count = (kind: ListKind) => [...open.lists.keys()].filter(key => key.startsWith(kind)).length;
      const lists = { users: count('users'), items: count('items') };
      held.set(open.version, { ...held.get(open.version)!, complete: true, lists });
    },
    async point(version, _alias, expected) {
      await note('point', version);
      if (expected !== undefined && (current ?? null) !== expected && current !== version)
        throw new StageError('SINK_FAILED', `the pointer names ${current}`);
      current = version;
    },
    current: async () => current,
    contents: async () => ({ pointers: await sink.pointers(), versions: await sink.versions() }),
    pointers: async () => new Map(current === undefined ? [] : [['champion', current]]),
    versions: async () => [...held.values()],
    get: async (kind, id) => versions.get(current ?? '')?.get(`${kind} ${id}`),
    prune: keep => note('prune', keep),
    async close() {},
  };
  return sink;
}

const batch = (kind: ListKind, ranked: readonly RankedList[]): ListBatch => ({
  kind,
  ids: ranked.map(list => list.id),
  ranked,
});

/** Publishes `lists` as v1, unless told otherwise. */
function run(lists: AsyncIterable<ListBatch>, sinks: readonly Sink[], more: Partial<PublishOptions> = {}) {
  const source: ListSource = {
    counts: { users: 2, items: 1 },
    batches: () => lists,
    sample: async () => batch('users', [ranked('x', ['a', 'b'])]),
    close: async () => undefined,
  };
  return publish({
    manifest: manifestOf('v1'),
    content: 'c',
    change: 1,
    lists: source,
    sinks,
    log: silent,
    ...more,
  });
}

async function* batches(calls: string[] = []): AsyncGenerator<ListBatch> {
  const made: [ListKind, RankedList[]][] = [
    ['users', [ranked('x', ['a', 'b']), ranked('y', ['c'])]],
    ['items', [ranked('a', ['b'])]],
  ];
  for (const [kind, lists] of made) {
    calls.push(`make ${kind}`);
    yield batch(kind, lists);
  }
  calls.push('made');
}

const index = (calls: string[], part: string) => calls.findIndex(call => call.includes(part));
const lastIndex = (calls: string[], part: string) => calls.findLastIndex(call => call.includes(part));

describe('publish', () => {
  it('writes every list to every sink and counts them once', async () => {
    const sinks = [memorySink('a', []), memorySink('b', [])];
    const summary = await run(batches(), sinks);
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
    await run(batches(calls), sinks);
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
    const running = run(batches(calls), sinks);
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
    const running = run(batches(), sinks);
    await expect(running).rejects.toThrow(/a: no room in a; c: no room in c/);
  });

  it('recovers by publishing again', async () => {
    const good = memorySink('good', []);
    const failed = run(batches(), [good, memorySink('bad', [], 'point')]);
    await expect(failed).rejects.toMatchObject({ code: 'SINK_FAILED' });
    const mended = memorySink('bad', []);
    expect(await run(batches(), [good, mended])).toMatchObject({ users: 2, items: 1 });
    for (const sink of [good, mended]) expect(await sink.current()).toBe('v1');
  });

  it('logs a failing prune and succeeds', async () => {
    const warned: object[] = [];
    const log = { ...silent, warn: (fields: object) => void warned.push(fields) };
    await run(batches(), [memorySink('a', [], 'prune')], { log });
    expect(warned).toEqual([{ sink: 'a', error: 'no room in a' }]);
  });

  it('fails for the cause that no retry mends, with its remedy, and names every sink', async () => {
    const full = memorySink('full', [], 'begin');
    const refused = memorySink('refused', [], 'begin', 'ACCESS_REFUSED');
    await expect(run(batches(), [full, refused])).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
      retryable: false,
      message: expect.stringMatching(/full: no room in full; refused: no room in refused/),
      remedy: new StageError('ACCESS_REFUSED', '').remedy,
    });
    await expect(run(batches(), [full])).rejects.toMatchObject({ code: 'SINK_FAILED', retryable: true });
  });

  it('passes on the error of the lists and stops the lists when a sink fails', async () => {
    const calls: string[] = [];
    async function* failing(): AsyncGenerator<ListBatch> {
      yield batch('users', []);
      throw new StageError('STATE_EMPTY', 'no users');
    }
    const sinks = [memorySink('a', calls)];
    const running = run(failing(), sinks);
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
    await expect(run(watched(), bad)).rejects.toThrow();
    expect(closed).toBe(true);
  });

  it.each([
    [{ id: 'x', items: ['a', 'b'], scores: [1] }, /2 items, found 1 scores.*x in users/],
    [{ id: 'x', items: ['a'], scores: [1, 2] }, /1 items, found 2 scores/],
    [{ id: 'x', items: ['a', 'b'], scores: [1, Number.NaN] }, /found NaN at rank 2/],
  ])('refuses the malformed list %o', async (list, message) => {
    const calls: string[] = [];
    async function* lists(): AsyncGenerator<ListBatch> {
      yield batch('users', [list]);
    }
    const sinks = [memorySink('a', calls)];
    const running = run(lists(), sinks);
    await expect(running).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: expect.stringMatching(message),
    });
    expect(index(calls, 'write')).toBe(-1);
  });
});

describe('what is there already', () => {
  it('is written once, and pointed at again', async () => {
    const calls: string[] = [];
    const sinks = [memorySink('a', calls)];
    await run(batches(), sinks);
    calls.length = 0;
    const again = await run(batches(), sinks);
    expect(again).toMatchObject({ version: 'v1', users: 2, items: 1 });
    expect(again.sinks).toMatchObject([{ written: 0, kept: 3 }]);
    expect(calls.filter(call => call.endsWith('done'))).toEqual(['a point done', 'a prune done']);
  });

  it('stays, when other lists of the model are published beside it', async () => {
    const sinks = [memorySink('a', [])];
    await run(batches(), sinks);
    expect(await run(batches(), sinks, { content: 'd' })).toMatchObject({ version: 'v1.2', model: 'v1' });
    expect(await run(batches(), sinks, { content: 'e' })).toMatchObject({ version: 'v1.3', model: 'v1' });
    expect(await run(batches(), sinks)).toMatchObject({ version: 'v1' });
    expect(await sinks[0]!.current()).toBe('v1');
  });

  it('never gets the version of other lists, even of some that are gone', async () => {
    const earlier = [
      { version: 'v1', content: 'a' },
      { version: 'v1.2', content: 'b' },
    ];
    const versions: string[] = [];
    const record = async (version: string) => void versions.push(version);
    await run(batches(), [memorySink('a', [])], { earlier, record });
    await run(batches(), [memorySink('a', [])], { earlier, record, content: 'b' });
    expect(versions).toEqual(['v1.3', 'v1.2']);
  });

  it('is not pointed at when somebody else has moved the pointer', async () => {
    const sink = memorySink('a', []);
    await run(batches(), [sink], { manifest: manifestOf('v0'), content: 'v0' });
    await run(batches(), [sink], { manifest: manifestOf('other'), content: 'other' });
    await sink.point('v0');
    async function* rolledBackMeanwhile() {
      yield* batches();
      await sink.point('other');
    }
    await expect(run(rolledBackMeanwhile(), [sink])).rejects.toMatchObject({ code: 'SINK_FAILED' });
    expect(await sink.current()).toBe('other');
  });
});

describe('sizes', () => {
  it('are estimated, and refused over maxBytes before anything is written', async () => {
    const calls: string[] = [];
    const small = { ...memorySink('small', calls), maxBytes: 100, overheadBytes: 50 };
    await expect(run(batches(calls), [small])).rejects.toMatchObject({
      code: 'SINK_TOO_SMALL',
      message: expect.stringMatching(/^sink small: 3 lists take about 0\.0 MiB/),
    });
    expect(calls).toEqual([]);
    const summary = await run(batches(), [{ ...memorySink('large', []), maxBytes: 1000, overheadBytes: 50 }]);
    expect(summary.sinks[0]!.estimatedBytes).toBeGreaterThan(150);
  });
});

describe('ordinals', () => {
  const ordinals = async (sink: Sink) => (await sink.versions()).map(v => [v.version, v.ordinal]);
  const next = (sinks: readonly Sink[], name: string) =>
    run(batches(), sinks, { manifest: manifestOf(name), content: name });

  it('grow from one publication to the next, over all sinks, and stay with a version', async () => {
    const [a, b] = [memorySink('a', []), memorySink('b', [])];
    await next([a], 'v1');
    await next([a], 'v2');
    await next([b, a], 'v3');
    await next([b, a], 'v1');
    await next([b, a], 'v4');
    expect(await ordinals(a)).toEqual([
      ['v1', 1],
      ['v2', 2],
      ['v3', 3],
      ['v4', 4],
    ]);
    expect(await ordinals(b)).toEqual([
      ['v3', 3],
      ['v1', 1],
      ['v4', 4],
    ]);
  });
});

describe('superseded', () => {
  const made = (version: string, minute: number, complete = true) => {
    return { version, publishedAt: manifestOf(version, minute).createdAt, complete };
  };
  const versions = [made('v9', 1), made('v10', 2), made('v2', 3), made('v3', 4, false)];

  it('spares the newest by time of publication, and those that have a name', () => {
    expect(superseded(versions, [], 1)).toEqual(['v10', 'v9']);
    expect(superseded(versions, ['v9'], 1)).toEqual(['v10']);
    expect(superseded(versions, ['v2'], 0)).toEqual(['v10', 'v9']);
    expect(superseded(versions, ['v9', 'v10'], 0)).toEqual(['v2']);
    expect(superseded(versions, ['v9'], 3)).toEqual([]);
  });
});
