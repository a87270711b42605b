/** What the state hands out to holdouts. */
import { expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import type { StateStore } from '#src/contracts/index.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf, type TestEvent } from '../../support/events.js';
import { manifestOf } from '../../support/manifest.js';

const events: readonly TestEvent[] = [
  { user: 'a', item: 'x', ts: 30, weight: 2 },
  { user: 'a', item: 'y', ts: 10 },
  { user: 'a', item: 'x', ts: 20, weight: 5 },
  { user: 'b', item: 'y', ts: 40 },
  { user: 'b', item: 'x', ts: 50 },
  { user: 'b', item: 'x', ts: 60, op: 'remove' },
];

it.each([
  ['binary', undefined, [30, 10, 40]],
  ['last', [2, 1, 1], [30, 10, 40]],
  ['sum', [7, 1, 1], [30, 10, 40]],
] as const)('%s: each entry of X has the time of its newest event', async (interactions, values, times) => {
  const state = await openState(
    temporaryDirectory(),
    semanticsOptions.parse({ interactions, weightScale: 1 }),
  );
  try {
    const position = { partition: '0', sequence: events.length - 1 };
    await state.append('s', [{ events: columnsOf(events, 0), dead: [], position }]);
    await state.fold(1000, async () => undefined, 2 ** 38);
    const found = await state.withTimes(async rows => rows);
    const { n, users, indptr, indices } = await state.interactions();
    expect(found).toEqual({
      n,
      users,
      indptr,
      indices,
      values: values && Int32Array.from(values),
      times: Float64Array.from(times),
    });
    expect(users.length).toBe(2);
    for (const entries of [found.indices, found.times, found.values])
      if (entries) expect(entries.buffer).toBeInstanceOf(SharedArrayBuffer);
  } finally {
    await state.close();
  }
});

/** Appends `list` to a partition; sequence numbers begin at `first`. */
const take = (state: StateStore, source: string, partition: string, list: readonly TestEvent[], first = 0) =>
  state.append(source, [
    {
      events: columnsOf(list, first),
      dead: [],
      position: { partition, sequence: first + list.length - 1 },
    },
  ]);

async function opened<T>(use: (state: StateStore) => Promise<T>): Promise<T> {
  const state = await openState(
    temporaryDirectory(),
    semanticsOptions.parse({ interactions: 'sum', weightScale: 1 }),
  );
  try {
    return await use(state);
  } finally {
    await state.close();
  }
}

const values = async (state: StateStore) => {
  await state.fold(1000, async () => undefined, 2 ** 38);
  const { values: found, indices } = await state.interactions();
  return found ? [...found] : [...indices].map(() => 1);
};

it('takes of a read that overlaps the stored position only what lies behind it', () =>
  opened(async state => {
    const list = ['x', 'y', 'z', 'w'].map(item => ({ user: 'u', item }));
    expect(await take(state, 's', 'p', list.slice(0, 2))).toBe(2);
    expect(await take(state, 's', 'p', list.slice(1, 3), 1)).toBe(1);
    expect(await take(state, 's', 'p', list)).toBe(1);
    expect(await take(state, 's', 'p', list)).toBe(0);
    expect(await values(state)).toEqual([1, 1, 1, 1]);
  }));

it('drops an event whose id its own stream has brought before, in one fold and across folds', () =>
  opened(async state => {
    const one = [
      { user: 'u', item: 'x', id: '1' },
      { user: 'v', item: 'x', id: '1' },
    ];
    await take(state, 'a', 'clicks/0', one);
    await take(state, 'a', 'clicks/1', [{ user: 'w', item: 'x', id: '1' }]);
    await take(state, 'a', 'orders/0', [{ user: 'u', item: 'y', id: '1' }]);
    await take(state, 'b', 'clicks/0', [{ user: 'u', item: 'z', id: '1' }]);
    expect(await values(state)).toEqual([1, 1, 1]);
    expect((await state.counts()).repeated).toBe(2);
    await take(state, 'a', 'clicks/0', [{ user: 'w', item: 'x', id: '1' }], 2);
    await take(state, 'b', 'orders/0', [{ user: 'u', item: 'v', id: '1' }]);
    expect(await values(state)).toEqual([1, 1, 1, 1]);
    expect((await state.counts()).repeated).toBe(3);
  }));

it('keeps the marks beside a position: added to, replaced, removed', () =>
  opened(async state => {
    const at = async (sequence: number, marks?: readonly bigint[], stored = 0) => {
      const taken = marks && { marks: BigUint64Array.from(marks), stored };
      await state.append('s', [
        { events: columnsOf([], 0), dead: [], position: { partition: 'rows', sequence, taken } },
      ]);
      const [position] = await state.positions('s');
      return position!.taken && [...position!.taken.marks];
    };
    const large = 2n ** 64n - 1n;
    expect(await at(1, [5n, 5n])).toEqual([5n, 5n]);
    expect(await at(2, [5n, 5n, large], 2)).toEqual([5n, 5n, large]);
    expect(await at(3, [7n])).toEqual([7n]);
    expect(await at(4)).toBeUndefined();
  }));

it('orders models by when they were registered, not by their clock', () =>
  opened(async state => {
    for (const [version, createdAt] of [
      ['later', '2027-01-01T00:00:00Z'],
      ['earlier', '2026-01-01T00:00:00Z'],
    ] as const) {
      const { id } = await state.startRun('refit', 'cli');
      const outcome = { status: 'done', detail: '', version } as const;
      await state.endRun(id, outcome, { ...manifestOf('v'), version, createdAt });
    }
    expect((await state.models()).map(m => m.version)).toEqual(['later', 'earlier']);
  }));
