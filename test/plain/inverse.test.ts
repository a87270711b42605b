/** The approximate inverse of a unit lower triangle, against the dense inverse. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { build, type Dense, distance, fromLower, inverse, multiply } from '../support/dense.js';
import { invert, residualLoss, umrScan } from '../support/plain/inverse.js';
import type { Lower } from '../support/plain/lower.js';
import { type Random, seeded } from '../support/random.js';

function toLower(A: Dense): Lower {
  const indptr = [0];
  const indices: number[] = [];
  const data: number[] = [];
  for (let j = 0; j < A.length; j++) {
    for (let i = j; i < A.length; i++) {
      if (A[i]![j] === 0) continue;
      indices.push(i);
      data.push(A[i]![j]!);
    }
    indptr.push(indices.length);
  }
  return {
    n: A.length,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    data: Float32Array.from(data),
  };
}

/** Unit lower triangle, off-diagonal entries of column j within ±size·decay^j. */
function randomLower(random: Random, n: number, size = 0.5, decay = 1): Lower {
  const entry = (j: number) => (random() < 0.4 ? size * decay ** j * (2 * random() - 1) : 0);
  return toLower(build(n, n, (i, j) => (i === j ? 1 : i > j ? entry(j) : 0)));
}

const size = fc.integer({ min: 1, max: 16 });

test('the loss is ‖I − LK‖²_F / n', () => {
  fc.assert(
    fc.property(fc.integer(), size, (seed, n) => {
      const random = seeded(seed);
      const L = randomLower(random, n);
      const K = randomLower(random, n);
      const R = multiply(fromLower(L), fromLower(K));
      const sum = R.flatMap((row, i) => row.map((v, j) => ((i === j ? 1 : 0) - v) ** 2)).reduce(
        (a, b) => a + b,
      );
      expect(residualLoss(L, K)).toBeCloseTo(sum / n, 10);
    }),
  );
});

test('at full density every scan lowers the loss, down to the inverse', () => {
  fc.assert(
    fc.property(fc.integer(), size, (seed, n) => {
      const L = randomLower(seeded(seed), n);
      const { lower, losses, undone } = invert(L, { scans: 300, tolerance: 1e-12, budget: n * n });
      const accepted = undone ? losses.slice(0, -1) : losses;
      for (let k = 1; k < accepted.length; k++) expect(accepted[k]).toBeLessThan(accepted[k - 1]!);
      expect(accepted.at(-1)).toBeLessThan(1e-9);
      expect(distance(fromLower(lower), inverse(fromLower(L)))).toBeLessThan(1e-3);
    }),
  );
});

test('no scan is made below the tolerance: K = 2I − L', () => {
  const L = randomLower(seeded(3), 9);
  const { lower, losses } = invert(L, { scans: 4, tolerance: 1e9, budget: 81 });
  expect(losses).toHaveLength(1);
  const K = fromLower(L).map((row, i) => row.map((l, j) => (i === j ? 2 : 0) - l));
  expect(fromLower(lower)).toEqual(K);
});

/** The scan as it is written: dense, one global selection at its end. */
function denseScan(L: Dense, K: Dense, room: number): Dense {
  const n = L.length;
  const LK = multiply(L, K);
  const R = build(n, n, (i, j) => (i === j ? 1 : 0) - LK[i]![j]!);
  const P = multiply(L, R);
  const M = build(n, n, () => 0);
  const rest: { i: number; j: number; v: number }[] = [];
  for (let j = 0; j < n; j++) {
    const rp = R.reduce((s, row, i) => s + row[j]! * P[i]![j]!, 0);
    const pp = P.reduce((s, row) => s + row[j]! ** 2, 0);
    for (let i = j; i < n; i++) {
      const v = K[i]![j]! + (pp > 0 ? rp / pp : 0) * R[i]![j]!;
      if (i === j) M[i]![j] = v;
      else if (v !== 0) rest.push({ i, j, v });
    }
  }
  rest.sort((a, b) => Math.abs(b.v) - Math.abs(a.v));
  for (const { i, j, v } of rest.slice(0, room - n)) M[i]![j] = v;
  return M;
}

test('a scan keeps the diagonal and the globally largest entries, however small its buffer', () => {
  const larger = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(fc.integer(), larger, fc.double({ min: 0, max: 1, noNaN: true }), (seed, n, share) => {
      const random = seeded(seed);
      const decay = 0.6 + 0.4 * random(); // early columns may hold what stays in the end
      const L = randomLower(random, n, 0.2, decay);
      const K = randomLower(random, n, 0.2, decay);
      const room = n + Math.floor((share ** 3 * (n * n - n)) / 2);
      const M = umrScan(L, K, room);
      expect(M.data.length).toBeLessThanOrEqual(room);
      expect(distance(fromLower(M), denseScan(fromLower(L), fromLower(K), room))).toBeLessThan(1e-5);
    }),
    { numRuns: 300 },
  );
});

test('entries of equal size fill the room and no more', () => {
  // ten blocks ⎡1    ⎤  whose residual is one entry ¼ each
  //            ⎢½ 1  ⎥
  //            ⎣0 ½ 1⎦
  const L = toLower(build(30, 30, (i, j) => (i === j ? 1 : i === j + 1 && i % 3 > 0 ? 0.5 : 0)));
  const K = toLower(build(30, 30, (i, j) => (i === j ? 1 : i === j + 1 && i % 3 > 0 ? -0.5 : 0)));
  for (const room of [30, 37, 50, 55, 60]) expect(umrScan(L, K, room).data.length).toBe(room);
});

test('making room on the way loses nothing that stays in the end', () => {
  // 30 dense columns (435 entries), then 30 of the identity, among which the buffer of 2·210 + 60 runs full
  const size = (i: number, j: number) => 0.01 * (1 + ((7 * i + 13 * j) % 11));
  const L = toLower(build(60, 60, (i, j) => (i === j ? 1 : j < i && i < 30 ? size(i, j) : 0)));
  const M = umrScan(L, L, 210);
  expect(M.data.length).toBe(210);
  expect(distance(fromLower(M), denseScan(fromLower(L), fromLower(L), 210))).toBeLessThan(1e-6);
});

test('a scan that raises the loss is undone and ends the scans', () => {
  // a chain with strong links: the inverse is dense, but there is room for the chain only
  const L = toLower(build(30, 30, (i, j) => (i === j ? 1 : i === j + 1 ? -0.95 : 0)));
  const { lower, losses, undone } = invert(L, { scans: 50, tolerance: 0, budget: 0 });
  expect(undone).toBe(true);
  expect(losses.at(-1)).toBeGreaterThanOrEqual(losses.at(-2)!);
  expect(residualLoss(L, lower)).toBe(losses.at(-2));
  expect(lower.data.length).toBeLessThanOrEqual(L.data.length);
});
