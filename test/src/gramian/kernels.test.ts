/**
 * Norms, outer-product updates and sums of segments against dense matrices filled entry by entry: for ones, values
 * and user weights, narrow and wide, and that the number of threads does not show.
 */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadInteractions } from '#src/gramian/interactions.js';
import { pairsBelow, squaredNorms } from '#src/gramian/norms.js';
import { openSegment } from '#src/gramian/segment.js';
import { openSegmentWriter } from '#src/gramian/segment-writer.js';
import { sumReader } from '#src/gramian/sum.js';
import type { ColumnBlock } from '#src/gramian/update.js';
import { rowUpdate } from '#src/gramian/update.js';
import type { WeightChanges } from '#src/gramian/weights.js';
import { fromNothing, type Rows } from '#src/matrix/rows.js';
import { Arena } from '#src/runtime/arena.js';
import type { Threads } from '#src/runtime/threads.js';
import { temporaryDirectory } from '../../support/directory.js';
import { writeCsc } from '../../support/gramian.js';
import { gramian, type Matrix, random, randomRows, zeros } from '../../support/rows.js';
import { arenaWithThreads } from '../../support/threads.js';

const { arena, one, three } = arenaWithThreads(64 << 20);

function shuffled(n: number, seed: number): Int32Array {
  const next = random(seed);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const k = Math.floor(next() * (i + 1));
    [order[i], order[k]] = [order[k]!, order[i]!];
  }
  return order;
}

function weightsOf(users: number, most: number): Int32Array {
  return Int32Array.from({ length: users }, (_, u) => 1 + ((u * 7919) % most));
}

const cases: [string, Rows, Int32Array | undefined][] = [
  ['ones', randomRows({ users: 300, items: 90, density: 0.1, seed: 1 }), undefined],
  ['user weights', randomRows({ users: 200, items: 60, density: 0.1, seed: 2 }), weightsOf(200, 1000)],
  ['values', randomRows({ users: 200, items: 60, density: 0.1, seed: 3, most: 9 }), undefined],
  [
    'values and weights',
    randomRows({ users: 200, items: 60, density: 0.1, seed: 4, most: 9 }),
    weightsOf(200, 50),
  ],
  [
    'sums beyond 2⁶³',
    randomRows({ users: 200, items: 60, density: 0.2, seed: 5, most: 5_000_000 }),
    undefined,
  ],
  ['no rows', randomRows({ users: 0, items: 5, density: 0, seed: 6 }), undefined],
];

describe.each(cases)('X of %s', (_, rows, weights) => {
  const { n } = rows;
  const G = gramian(rows, weights);
  const positions = shuffled(n, 7);

  it('has the diagonal and the squared norms of G, on any number of threads', () => {
    const mark = arena.mark();
    const x = loadInteractions(arena, rows, positions, weights);
    const pairs = pairsBelow(arena, x);
    const norms = squaredNorms(arena, one, x, pairs);
    const again = squaredNorms(arena, three, x, pairs);
    for (let i = 0; i < n; i++) {
      const j = positions[i]!;
      expect(x.diagonal[j]).toBe(G[i]![i]);
      const expected = G[i]!.reduce((a, v) => a + v * v, 0);
      if (expected <= Number.MAX_SAFE_INTEGER) expect(norms[j]).toBe(expected);
      else expect(norms[j]! / expected).toBeCloseTo(1, 12);
      expect(again[j]).toBe(norms[j]);
    }
    arena.release(mark);
  });
});

/** ΔG as a dense matrix; checks order and zeros on the way. */
function update(threads: Threads, before: Rows, after: Rows, weights?: WeightChanges): Matrix {
  const D = zeros(after.n);
  let next = 0;
  const mark = arena.mark();
  rowUpdate(arena, threads, { before, after }, weights).run(({ first, lengths, indices, values }) => {
    expect(first).toBe(next);
    next += lengths.length;
    let e = 0;
    lengths.forEach((length, c) => {
      for (let last = -1, end = e + length; e < end; last = indices[e++]!) {
        expect(indices[e]!).toBeGreaterThan(last);
        expect(values[e]).not.toBe(0);
        D[first + c]![indices[e]!] = values[e]!;
      }
    });
  });
  arena.release(mark);
  expect(next).toBe(after.n);
  return D;
}

describe('row update', () => {
  const options = { users: 120, items: 300, density: 0.05 };
  const ones = randomRows({ ...options, seed: 11 });
  const changed = randomRows({ ...options, seed: 12 });
  const valued = randomRows({ ...options, seed: 13, most: 5 });
  const large = randomRows({ ...options, seed: 14, most: 100_000 });
  const w = weightsOf(120, 40);
  const v = w.map((weight, u) => (u % 3 === 0 ? weight + 5 : weight));
  const table: [string, Rows, Rows, WeightChanges | undefined][] = [
    ['a snapshot of ones', fromNothing(ones).before, ones, undefined],
    ['a snapshot of values', fromNothing(valued).before, valued, undefined],
    ['changed rows of ones', ones, changed, undefined],
    ['rows that lose everything', ones, fromNothing(ones).before, undefined],
    [
      'changed values',
      valued,
      { ...valued, values: valued.values!.map(x => (x % 2 ? x : x + 1)) },
      undefined,
    ],
    ['sums beyond 2³¹', ones, large, undefined],
    ['changed and unchanged weights', ones, changed, { before: w, after: v }],
    ['nothing', ones, ones, undefined],
  ];
  it.each(table)('%s', (_, before, after, weights) => {
    const old = gramian(before, weights?.before);
    const expected = gramian(after, weights?.after).map((row, i) => row.map((g, j) => g - old[i]![j]!));
    expect(update(one, before, after, weights)).toEqual(expected);
    expect(update(three, before, after, weights)).toEqual(expected);
  });

  it('starts its sums of ones again before they leave int32', () => {
    // The base of the sums grows by 90,001 for each of 30,001 columns, past 2³¹.
    const [users, others] = [90_000, 30_000];
    const after: Rows = {
      n: others + 1,
      users: Int32Array.from({ length: users }, (_, u) => u),
      indptr: Int32Array.from({ length: users + 1 }, (_, u) => 2 * u),
      indices: Int32Array.from({ length: 2 * users }, (_, e) => e % 2 && 1 + ((e >> 1) % others)),
      values: undefined,
    };
    const wrong: number[] = [];
    rowUpdate(arena, one, fromNothing(after)).run(({ first, lengths, indices, values }) => {
      for (let c = 0, e = 0; c < lengths.length; e += lengths[c++]!) {
        const j = first + c;
        const right =
          j === 0
            ? lengths[c] === others + 1 && values[e] === users
            : lengths[c] === 2 &&
              indices[e] === 0 &&
              indices[e + 1] === j &&
              values[e] === 3 &&
              values[e + 1] === 3;
        if (!right) wrong.push(j);
      }
    });
    expect(wrong).toEqual([]);
  });

  it('refuses sums of 2⁵³ and more', () => {
    const rows = { ...ones, values: ones.indices.map(() => 0x7fffffff) };
    expect(() => update(one, fromNothing(rows).before, rows)).toThrow(/2\^53/);
  });
});

describe('sum of segments', () => {
  it.each([[false], [true]])('adds columns and drops zeros, wide: %s', wide => {
    const n = 500;
    const next = random(21);
    const dense = [0, 1, 2].map(() => Array.from({ length: 4 }, () => new Float64Array(n)));
    for (const part of dense) {
      for (const column of part)
        for (let i = 0; i < n; i++) if (next() < 0.2) column[i] = Math.floor(next() * 5) - 2;
    }
    if (wide) dense[0]![2]![17] = 2 ** 40;
    const directory = temporaryDirectory();
    const segments = dense.map((columns, s) => {
      const arena = new Arena();
      const rows = columns.map(column => [...column.keys()].filter(i => column[i] !== 0));
      const values = columns.flatMap((column, c) => rows[c]!.map(i => column[i]!));
      const place = (array: Int32Array | Float64Array) => arena.copy(array, 'a test');
      const block = {
        first: 40,
        lengths: Int32Array.from(rows, r => r.length),
        indices: arena.i32(place(Int32Array.from(rows.flat())), values.length),
        values:
          wide && s === 0
            ? arena.f64(place(Float64Array.from(values)), values.length)
            : arena.i32(place(Int32Array.from(values)), values.length),
      };
      if (s === 1)
        return openSegment(join(directory, writeCsc(directory, [empty(40), block, empty(456)], n).file));
      const writer = openSegmentWriter(arena, directory, n, 1);
      writer.write(block);
      const { file } = writer.finish();
      writer.close();
      return openSegment(join(directory, file));
    });
    const sum = sumReader(new Arena(), segments, n).range(39, 45);
    expect(sum.first).toBe(39);
    let e = 0;
    for (let c = 0; c < 4; c++) {
      const expected: [number, number][] = [];
      for (let i = 0; i < n; i++) {
        const x = dense.reduce((a, part) => a + part[c]![i]!, 0);
        if (x !== 0) expected.push([i, x]);
      }
      const actual = expected.map(() => [sum.indices[e]!, sum.values[e++]!]);
      expect(sum.lengths[c + 1]).toBe(expected.length);
      expect(actual).toEqual(expected);
    }
    expect([sum.lengths[0], sum.lengths[5]]).toEqual([0, 0]);
  });
});

/** Columns without entries. */
const empty = (width: number): ColumnBlock => ({
  first: 0,
  lengths: new Int32Array(width),
  indices: new Int32Array(0),
  values: new Int32Array(0),
});
