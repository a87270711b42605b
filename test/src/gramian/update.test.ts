/** ΔG = DᵀX' + XᵀD, entry for entry against X'ᵀX' − XᵀX on dense matrices. */
import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { fromNothing } from '#src/gramian/rows.js';
import { difference, pairsOf, updateColumns } from '#src/gramian/update.js';
import { build, gramOf } from '../../support/dense.js';
import { fromBlocks } from '../../support/gramian.js';
import { randomX, rowsOf, seeded } from '../../support/random.js';

const size = {
  seed: fc.integer(),
  m: fc.integer({ min: 0, max: 7 }),
  n: fc.integer({ min: 1, max: 9 }),
  max: fc.constantFrom(1, 4, 2 ** 20),
};

test('any change of any rows', () => {
  fc.assert(
    fc.property(fc.record(size), ({ seed, m, n, max }) => {
      const random = seeded(seed);
      const X = randomX(random, m, n, random(), max);
      // Each user keeps the row, changes some of it, loses all of it, or starts from nothing.
      const Y = X.map(row => {
        const kind = random();
        if (kind < 0.2) return row;
        if (kind < 0.4) return row.map(() => 0);
        const fresh = randomX(random, 1, n, random(), max)[0]!;
        return row.map((x, i) => (random() < 0.5 ? x : fresh[i]!));
      });
      const changes = { before: rowsOf(X, n), after: rowsOf(Y, n) };
      const [G, H] = [gramOf(X, n), gramOf(Y, n)];
      const expected = build(n, n, (i, j) => H[i]![j]! - G[i]![j]!);
      expect(fromBlocks(updateColumns(changes), n)).toEqual(expected);
      const D = difference(changes);
      const changed = X.flatMap((row, u) => row.filter((x, i) => x !== Y[u]![i])).length;
      expect(D.indices).toHaveLength(changed);
      expect(D.values!.every(d => d !== 0)).toBe(true);
      const count = (row: number[]) => row.filter(Boolean).length;
      const pairs = X.reduce(
        (s, row, u) => s + row.filter((x, i) => x !== Y[u]![i]).length * (count(row) + count(Y[u]!)),
        0,
      );
      expect(pairsOf(changes, D)).toBe(pairs);
    }),
  );
});

test('a snapshot is the change from nothing, the deletion of a user the change to nothing', () => {
  fc.assert(
    fc.property(fc.record(size), ({ seed, m, n, max }) => {
      const random = seeded(seed);
      const X = rowsOf(randomX(random, m, n, random(), max), n);
      const { before: nothing } = fromNothing(X);
      const up = fromBlocks(updateColumns({ before: nothing, after: X }), n);
      const down = fromBlocks(updateColumns({ before: X, after: nothing }), n);
      expect(down).toEqual(up.map(row => row.map(v => 0 - v)));
    }),
  );
});

it('hands on large results in blocks', () => {
  const n = 1500;
  const X = rowsOf([build(1, n, () => 1)[0]!], n);
  const blocks = [...updateColumns(fromNothing(X))];
  expect(blocks.length).toBeGreaterThan(1);
  expect(blocks.reduce((sum, b) => sum + b.indices.length, 0)).toBe(n * n);
  expect(blocks.map(b => b.first)).toEqual(
    blocks.map((_, k) => blocks.slice(0, k).reduce((s, b) => s + b.indptr.length - 1, 0)),
  );
});
