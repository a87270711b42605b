/** Every split parts X: each entry is in train or test or belongs to a user who has none in train. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type HoldoutOptions, holdoutOptions } from '#src/evaluate/options.js';
import { cutAt, leaveLastOut, sampleUsers, split, type TimedRows } from '#src/evaluate/split.js';
import type { Rows } from '#src/matrix/rows.js';

/** An entry [item, value, time] of a user. */
type Entry = readonly [item: number, value: number, time: number];

function timed(lists: ReadonlyMap<number, readonly Entry[]>, n = 12): TimedRows {
  const users = [...lists.keys()].sort((a, b) => a - b);
  const rows = users.map(u => [...lists.get(u)!].sort((a, b) => a[0] - b[0]));
  const indptr = [0];
  for (const row of rows) indptr.push(indptr.at(-1)! + row.length);
  return {
    n,
    users: Int32Array.from(users),
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(rows.flat(), e => e[0]),
    values: Int32Array.from(rows.flat(), e => e[1]),
    times: Float64Array.from(rows.flat(), e => e[2]),
  };
}

/** `user item` → value. */
function pairs({ users, indptr, indices, values }: Rows): Map<string, number> {
  const found = new Map<string, number>();
  users.forEach((u, r) => {
    for (let e = indptr[r]!; e < indptr[r + 1]!; e++) found.set(`${u} ${indices[e]}`, values?.[e] ?? 1);
  });
  return found;
}

const timesOf = (rows: TimedRows): Map<string, number> =>
  pairs({ ...rows, values: rows.times as unknown as Int32Array });
const entry = fc.tuple(fc.nat(11), fc.integer({ min: 1, max: 9 }), fc.nat(5));
const matrix = fc
  .array(fc.tuple(fc.nat(200), fc.uniqueArray(entry, { selector: e => e[0], minLength: 1 })), {
    minLength: 1,
  })
  .map(lists => timed(new Map(lists)));
const options = (o: Partial<HoldoutOptions>): HoldoutOptions => holdoutOptions.parse(o);

/** The parts of a split, or nothing when the options cannot part this matrix. */
function parts(rows: TimedRows, o: Partial<HoldoutOptions>) {
  try {
    const { train, test, cut } = split(rows, options(o));
    return { train: pairs(train), test: pairs(test), cut };
  } catch (error) {
    expect(error).toMatchObject({ code: 'DATA_INVALID' });
    return undefined;
  }
}

const userOf = (key: string): string => key.split(' ')[0]!;

describe('every split', () => {
  it.each(['last', 'time', 'random'] as const)('%s parts the entries, by the seed alone', holdout => {
    const property = fc.property(
      matrix,
      fc.nat(1000),
      fc.double({ min: 0.05, max: 0.9, noNaN: true }),
      (rows, seed, share) => {
        const found = parts(rows, { holdout, seed, share });
        expect(parts(rows, { holdout, seed, share })).toEqual(found);
        if (!found) return;
        const { train, test } = found;
        const all = pairs(rows);
        const known = new Set([...train.keys()].map(userOf));
        for (const [key, value] of train) expect([key, value]).toEqual([key, all.get(key)]);
        for (const key of test.keys()) {
          expect(all.has(key) && !train.has(key)).toBe(true);
          expect(known.has(userOf(key))).toBe(true);
        }
        for (const key of all.keys())
          expect(train.has(key) || test.has(key) || !known.has(userOf(key))).toBe(true);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});

it('last: the newest of each user with two or more', () => {
  const property = fc.property(matrix, fc.nat(1000), (rows, seed) => {
    const found = parts(rows, { holdout: 'last', seed });
    const times = timesOf(rows);
    const entries = [...times.keys()];
    for (const user of new Set(entries.map(userOf))) {
      const own = entries.filter(key => userOf(key) === user);
      const out = own.filter(key => found?.test.has(key));
      expect(out).toHaveLength(own.length >= 2 ? 1 : 0);
      for (const key of out) expect(times.get(key)).toBe(Math.max(...own.map(k => times.get(k)!)));
    }
  });
  fc.assert(property, { numRuns: 300 });
});

it('last: among entries of the same time every one is drawn by some seed', () => {
  const rows = timed(
    new Map([
      [
        3,
        [
          [0, 1, 5],
          [1, 1, 5],
          [2, 1, 5],
          [3, 1, 4],
        ],
      ],
    ]),
  );
  const drawn = new Set(Array.from({ length: 40 }, (_, seed) => leaveLastOut(rows, seed).indexOf(1)));
  expect([...drawn].sort()).toEqual([0, 1, 2]);
});

it('time: nothing of the train set is as new as anything of the test set', () => {
  const property = fc.property(matrix, fc.double({ min: 0.05, max: 0.9, noNaN: true }), (rows, share) => {
    const found = parts(rows, { holdout: 'time', share });
    if (!found) return;
    const times = timesOf(rows);
    for (const key of found.train.keys()) expect(times.get(key)).toBeLessThan(found.cut!);
    for (const key of found.test.keys()) expect(times.get(key)).toBeGreaterThanOrEqual(found.cut!);
  });
  fc.assert(property, { numRuns: 300 });
});

it('time: the cut comes as close to the share as times allow, and leaves something on both sides', () => {
  const times = fc.array(fc.nat(8), { minLength: 1, maxLength: 40 }).filter(t => new Set(t).size > 1);
  const property = fc.property(times, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (list, share) => {
    const behind = (cut: number): number => list.filter(t => t >= cut).length;
    const wanted = list.length - Math.round(list.length * (1 - share));
    const distance = (cut: number): number => Math.abs(behind(cut) - wanted);
    const cuts = [...new Set(list)].filter(cut => behind(cut) < list.length);
    const cut = cutAt(Float64Array.from(list), share);
    expect(cuts).toContain(cut);
    expect(distance(cut)).toBe(Math.min(...cuts.map(distance)));
  });
  fc.assert(property, { numRuns: 500 });
});

it('time: cuts at a date, and says what it found when there is no way to cut', () => {
  const day = (d: number): number => Date.UTC(2026, 0, d);
  const rows = timed(
    new Map([
      [
        1,
        [
          [0, 1, day(1)],
          [1, 1, day(5)],
          [2, 1, day(9)],
        ],
      ],
      [2, [[0, 1, day(6)]]],
    ]),
  );
  expect(parts(rows, { holdout: 'time', cut: '2026-01-05' })).toEqual({
    train: new Map([['1 0', 1]]),
    test: new Map([
      ['1 1', 1],
      ['1 2', 1],
    ]),
    cut: day(5),
  });
  expect(() => split(rows, options({ holdout: 'time', cut: '2027-01-01' }))).toThrow(
    /holdout time cut at 2027-01-01T00:00:00.000Z: expected users with interactions on both sides, found none among 2 users/,
  );
  const same = { ...rows, times: rows.times.fill(day(3)) };
  expect(() => split(same, options({ holdout: 'time' }))).toThrow(
    /expected interactions at different times, found all 4 at 2026-01-03/,
  );
});

/** 3,000 users of 10 entries. */
const many = timed(
  new Map(
    Array.from({ length: 3000 }, (_, u) => [u, Array.from({ length: 10 }, (_, i): Entry => [i, 1, i])]),
  ),
);

it('random: draws the share of the entries', () => {
  const { test } = split(many, options({ holdout: 'random', share: 0.3, seed: 4 }));
  expect(Math.abs(test.indices.length / many.indices.length - 0.3)).toBeLessThan(0.01);
});

it('samples nest: a larger one of the same seed holds a smaller one', () => {
  const { test } = split(many, options({ holdout: 'last' }));
  const [small, large] = [200, 1000].map(count => sampleUsers(test, count, 9));
  expect([small!.users.length, large!.users.length]).toEqual([200, 1000]);
  const among = new Set(large!.users);
  expect([...small!.users].every(u => among.has(u))).toBe(true);
  expect(pairs(small!)).toEqual(
    new Map([...pairs(test)].filter(([key]) => small!.users.includes(Number(userOf(key))))),
  );
  expect(sampleUsers(test, 200, 10).users).not.toEqual(small!.users);
  expect(sampleUsers(test, 3000, 9)).toBe(test);
});

it('a fit sees the newest train entries of each user; of equal times the later items', () => {
  const rows = timed(
    new Map<number, Entry[]>([
      [
        4,
        [
          [0, 1, 7],
          [3, 2, 9],
          [5, 3, 7],
          [8, 4, 7],
          [9, 5, 1],
          [11, 6, 20],
        ],
      ],
      [
        6,
        [
          [2, 1, 3],
          [7, 1, 4],
        ],
      ],
    ]),
  );
  const { train, fitted, test } = split(rows, { ...options({ holdout: 'last' }), maxHistory: 2 });
  expect(pairs(test)).toEqual(
    new Map([
      ['4 11', 1],
      ['6 7', 1],
    ]),
  );
  expect(pairs(fitted!)).toEqual(
    new Map([
      ['4 3', 2],
      ['4 8', 4],
      ['6 2', 1],
    ]),
  );
  expect(pairs(train).size).toBe(6);
  expect(split(rows, { ...options({ holdout: 'last' }), maxHistory: 5 }).fitted).toBeUndefined();
});
