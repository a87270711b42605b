/** What the state hands out to holdouts. */
import { expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf, type TestEvent } from '../../support/events.js';

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
    await state.fold(1000, async () => undefined);
    const found = await state.withTimes(rows => rows);
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
  } finally {
    await state.close();
  }
});
