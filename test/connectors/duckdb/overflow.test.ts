/**
 * Weights whose squares would let the Gramian overflow are set aside, and nothing else is: whatever was accepted, in
 * however many folds, an item's sum of squares, times 4,096 where users have weights, stays within 2⁵⁰.
 */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { semanticsOptions } from '#connectors/duckdb/schema.js';
import { openState } from '#connectors/duckdb/state.js';
import { diagonalOf, largestEnergy } from '#src/gramian/weights.js';
import { maxFixedPoint } from '#src/stages/event-weight.js';
import { temporaryDirectory } from '../../support/directory.js';
import { columnsOf, type TestEvent } from '../../support/events.js';

const bound = 2 ** 38;

/** Folds events for users with weights. */
const folded = (semantics: object, ...folds: readonly (readonly TestEvent[])[]) =>
  foldedFor(0.5, semantics, ...folds);

async function foldedFor(eta: number, semantics: object, ...folds: readonly (readonly TestEvent[])[]) {
  const state = await openState(
    join(temporaryDirectory(), 's'),
    semanticsOptions.parse({ weightScale: 1, ...semantics }),
    { threads: 1 },
  );
  try {
    let first = 0;
    for (const events of folds) {
      const position = { partition: 'p', sequence: first + events.length - 1 };
      await state.append('s', [{ events: columnsOf(events, first), dead: [], position }]);
      first += events.length;
      await state.fold(1e6, async () => undefined, largestEnergy(eta));
    }
    const rows = await state.interactions();
    return { diagonal: diagonalOf(rows), entries: rows.indices.length, dead: await state.deadLetters(1000) };
  } finally {
    await state.close();
  }
}

const hot = (weights: readonly number[], name = 'u'): TestEvent[] =>
  weights.map((weight, k) => ({ user: `${name}${k}`, item: 'hot', weight, ts: k }));

it.each(['last', 'sum'])('%s: a few huge weights go, the others stay', async interactions => {
  const good = Array.from({ length: 50 }, () => 300);
  const { diagonal, entries, dead } = await folded(
    { interactions },
    hot([maxFixedPoint, maxFixedPoint, ...good]),
  );
  expect(dead.map(d => [d.code, d.user])).toEqual([
    ['weight-overflow', 'u1'],
    ['weight-overflow', 'u0'],
  ]);
  expect(dead[0]!.reason).toMatch(/^weight: expected at most 72705(\.0)? for this item, found 524288/);
  expect(JSON.parse(dead[0]!.raw)).toMatchObject({
    user: 'u1',
    item: 'hot',
    weight: maxFixedPoint,
    op: 'add',
  });
  expect(entries).toBe(50);
  expect(diagonal[0]).toBe(50 * 300 ** 2);
});

it('users who count alike leave 4,096 times the room', async () => {
  const full = hot(Array.from({ length: 4096 }, () => maxFixedPoint));
  const { diagonal, dead } = await foldedFor(0, { interactions: 'last' }, full, hot([1], 'v'));
  expect(diagonal[0]).toBe(2 ** 50);
  expect(dead.map(d => d.user)).toEqual(['v0']);
});

it('sums that grow fold by fold stop at the bound', async () => {
  const folds = Array.from({ length: 20 }, () => hot(Array.from({ length: 3 }, () => 60_000)));
  const { diagonal, dead } = await folded({ interactions: 'sum' }, ...folds);
  expect(diagonal[0]).toBeLessThanOrEqual(bound);
  expect(diagonal[0]).toBeGreaterThan(bound / 8);
  expect(dead.length).toBeGreaterThan(0);
});

it('an item at its bound still takes removals and smaller weights', async () => {
  const full = hot([maxFixedPoint]);
  const later = { user: 'u0', item: 'hot', weight: 7, ts: 9 };
  const { diagonal, dead } = await folded(
    { interactions: 'last' },
    full,
    hot([5], 'v'),
    [later],
    hot([5], 'v'),
  );
  expect(dead.map(d => d.user)).toEqual(['v0']);
  expect(diagonal[0]).toBe(7 ** 2 + 5 ** 2);
});

it('binary and common weights are never set aside', async () => {
  expect((await folded({ interactions: 'binary' }, hot([1, 1, 1]))).dead).toEqual([]);
  const ratings = Array.from({ length: 3000 }, (_, k) => 1 + (k % 5));
  const { dead, entries } = await folded({ interactions: 'last' }, hot(ratings));
  expect([dead.length, entries]).toEqual([0, 3000]);
});
