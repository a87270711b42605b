/**
 * The factorized sparse approximate inverse against dense algebra: with every neighbour it is the exact inverse factor,
 * with some of them each row solves its own small system, for any λ, degenerate columns, values and weights; stored and
 * implicit Gramians, batches of any size and any number of threads give the same bits.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fit } from '#src/fit/fit.js';
import { degreeOrder } from '#src/fit/order.js';
import { buildSegment } from '#src/gramian/build.js';
import { implicitGramian } from '#src/gramian/implicit.js';
import { octaveWeights } from '#src/gramian/weights.js';
import { fromNothing, type Rows } from '#src/matrix/rows.js';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';
import { fsaiOptions } from '#src/solvers/fsai/options.js';
import { type Fsai, factorizeInverse, fsaiWorkspace } from '#src/solvers/fsai/rows.js';
import type { Passes } from '#src/solvers/solver.js';
import { temporaryDirectory } from '../../../support/directory.js';
import { randomX, rowsOf, seeded } from '../../../support/random.js';
import { gramian as denseGramian, randomRows } from '../../../support/rows.js';

interface Settings {
  readonly neighbours: number;
  readonly alpha: number;
  readonly lambda: number;
  readonly userWeighting?: number;
  readonly threads?: number;
  readonly blockBytes?: number;
}

/** K̂ (dense, by position), D, patterns and the order of the items. */
async function inverse(rows: Rows, settings: Settings) {
  const { neighbours, alpha, lambda, userWeighting = 0, threads: size = 1, blockBytes = 2 ** 20 } = settings;
  const arena = new Arena();
  const threads = new Threads(arena, size);
  const gramian = implicitGramian(arena, threads, rows, userWeighting);
  const diagonal = gramian.diagonal();
  const order = degreeOrder(diagonal);
  const positions = new Int32Array(rows.n);
  order.forEach((item, k) => {
    positions[item] = k;
  });
  const f = fsaiWorkspace(arena, diagonal, positions, { neighbours, alpha });
  factorizeInverse(arena, threads, gramian.arrange(positions), f, { lambda, blockBytes });
  await threads.close();
  return { order, ...read(arena, f) };
}

function read(arena: Arena, { address, n, m, counts, values, pivots }: Fsai) {
  const pattern = arena.i32(arena.i32(address, 8)[3]!, n * m);
  const count = arena.i32(counts, n);
  const K = Array.from({ length: n }, () => new Float64Array(n));
  const patterns = K.map((row, j) => {
    row[j] = 1;
    const P = pattern.slice(j * m, j * m + count[j]!);
    P.forEach((i, x) => {
      row[i] = arena.f64(values, n * m)[j * m + x]!;
    });
    return P;
  });
  return { K, D: arena.f64(pivots, n).slice(), patterns };
}

/** Solves A y = e_last by Gauss–Jordan elimination with partial pivoting. */
function solveLast(A: readonly (readonly number[])[]): number[] {
  const n = A.length;
  const M = A.map((row, i) => [...row, i === n - 1 ? 1 : 0]);
  for (let c = 0; c < n; c++) {
    let p = c;
    for (let r = c; r < n; r++) if (Math.abs(M[r]![c]!) > Math.abs(M[p]![c]!)) p = r;
    [M[c], M[p]] = [M[p]!, M[c]!];
    for (let r = 0; r < n; r++) {
      if (r === c) continue;
      const factor = M[r]![c]! / M[c]![c]!;
      for (let k = c; k <= n; k++) M[r]![k]! -= factor * M[c]![k]!;
    }
  }
  return M.map((row, i) => row[n]! / row[i]!);
}

/** Checks each row of K̂ and D on its pattern, and the choice of the pattern. */
async function check(rows: Rows, settings: Settings): Promise<number> {
  const { order, K, D, patterns } = await inverse(rows, settings);
  const weights = octaveWeights(rows, settings.userWeighting ?? 0);
  const byItem = denseGramian(rows, weights);
  const G = Array.from(order, i => Array.from(order, k => byItem[i]![k]!));
  let error = 0;
  patterns.forEach((P, j) => {
    const all = [...P, j];
    expect([...P]).toEqual([...P].sort((a, b) => b - a));
    const reach = (i: number) => G[i]![j]! * G[i]![i]! ** -settings.alpha;
    const reached = [...G.keys()].filter(i => i > j && G[i]![j]! > 0);
    const best = reached.sort((a, b) => reach(b) - reach(a) || b - a).slice(0, settings.neighbours);
    expect([...P]).toEqual(best.sort((a, b) => b - a));
    const y = solveLast(all.map(i => all.map(k => G[i]![k]! + (i === k ? settings.lambda : 0))));
    const last = y.at(-1)!;
    all.forEach((i, x) => {
      error = Math.max(error, Math.abs(K[j]![i]! - y[x]! / last));
    });
    error = Math.max(error, Math.abs(D[j]! * last - 1));
  });
  return error;
}

describe('rows of the inverse factor', () => {
  const cases = fc.tuple(
    fc.integer(),
    fc.integer({ min: 1, max: 24 }),
    fc.integer({ min: 1, max: 30 }),
    fc.constantFrom(1, 4),
    fc.constantFrom(0, 0.5),
    fc.constantFrom(0, 0.3, 1),
  );
  it('solve their own system on the best neighbours', () =>
    fc.assert(
      fc.asyncProperty(cases, async ([seed, n, m, most, eta, alpha]) => {
        const rows = rowsOf(randomX(seeded(seed), 2 * n, n, 0.3, most), n);
        const settings = { neighbours: m, alpha, lambda: eta > 0 ? 4096 : 1, userWeighting: eta };
        expect(await check(rows, settings)).toBeLessThan(1e-9);
      }),
      { numRuns: 60 },
    ));

  it('are the exact inverse Cholesky factor with all neighbours', () =>
    fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 2, max: 30 }), async (seed, n) => {
        // a user of everything makes all items neighbours
        const X = [new Array<number>(n).fill(1), ...randomX(seeded(seed), 3 * n, n, 0.3)];
        const { order, K, D } = await inverse(rowsOf(X, n), { neighbours: n, alpha: 0.3, lambda: 2 });
        const byItem = denseGramian(rowsOf(X, n));
        // K̂ A K̂ᵀ = D
        const A = Array.from(order, (i, p) =>
          Array.from(order, (k, q) => byItem[i]![k]! + (p === q ? 2 : 0)),
        );
        for (let i = 0; i < n; i++) {
          for (let k = 0; k < n; k++) {
            let sum = 0;
            for (let p = i; p < n; p++) for (let q = k; q < n; q++) sum += K[i]![p]! * A[p]![q]! * K[k]![q]!;
            expect(Math.abs(sum - (i === k ? D[i]! : 0)) / D[i]!).toBeLessThan(1e-8);
          }
        }
      }),
      { numRuns: 40 },
    ));

  it('exist for any λ > 0 on 1,000 Gramians with duplicate, empty and constant columns', async () => {
    const next = seeded(7);
    for (let run = 0; run < 1000; run++) {
      const n = 2 + Math.floor(next() * 14);
      const X = randomX(next, 1 + Math.floor(next() * 2 * n), n, next());
      for (const row of X) {
        row[1] = row[0]!; // duplicate
        if (n > 3) row[2] = 0; // empty
        if (n > 4) row[3] = 1; // constant
      }
      const lambda = 10 ** (4 - next() * 40);
      const { K, D } = await inverse(rowsOf(X, n), {
        neighbours: 1 + Math.floor(next() * n),
        alpha: next(),
        lambda,
      });
      for (const d of D) expect(d).toBeGreaterThanOrEqual(lambda);
      for (const row of K) for (const x of row) expect(Number.isFinite(x)).toBe(true);
      const { model } = await fit(
        { mode: 'implicit', rows: rowsOf(X, n), scale: 1 },
        fsaiOptions.parse({ l2: lambda, neighbours: 5 }),
        { threads: 1 },
      );
      for (const { data } of [model.encoder, model.decoder, model.serving!])
        for (const x of data) expect(Number.isFinite(x)).toBe(true);
    }
  });

  it('are the same bits for any batch and any number of threads', async () => {
    const rows = randomRows({ users: 400, items: 300, density: 0.05, seed: 5, most: 3 });
    const settings = { neighbours: 9, alpha: 0.3, lambda: 3, userWeighting: 0.5 };
    const one = await inverse(rows, settings);
    for (const [threads, blockBytes] of [
      [3, 2 ** 20],
      [1, 1],
      [2, 5000],
    ] as const) {
      expect(await inverse(rows, { ...settings, threads, blockBytes })).toEqual(one);
    }
  });

  it('are the same when fits share their passes over G', async () => {
    const rows = randomRows({ users: 300, items: 200, density: 0.06, seed: 4 });
    const input = { mode: 'implicit', rows, scale: 1 } as const;
    const arena = new Arena();
    const engine = { arena, threads: new Threads(arena, 1) };
    const passes: Passes = {};
    const settings = [
      { neighbours: 7, l2: 3 },
      { neighbours: 7, l2: 30, serving: 5 },
      { neighbours: 9, l2: 3 },
      { neighbours: 7, l2: 3, alpha: 1 },
      { neighbours: 7, l2: 3, userWeighting: 0 },
    ];
    for (const setting of settings) {
      const options = fsaiOptions.parse(setting);
      const shared = await fit(input, options, { engine, passes });
      const alone = await fit(input, options, { threads: 1 });
      expect(shared.model).toEqual(alone.model);
      expect(shared.report.seconds.scale === undefined).toBe(setting.l2 === 30);
    }
  });

  it('survive sums beyond 32 bits', async () => {
    const rows = rowsOf(
      [
        [2 ** 19, 2 ** 19, 1],
        [2 ** 18, 0, 3],
      ],
      3,
    );
    expect(await check(rows, { neighbours: 2, alpha: 0, lambda: 1e9 })).toBeLessThan(1e-9);
  });
});

it.each([0, 0.5])('a stored Gramian gives the same model as an implicit one (η = %d)', async eta => {
  const rows = randomRows({ users: 300, items: 200, density: 0.06, seed: 11, most: 2 });
  const directory = temporaryDirectory();
  const half = (keep: (r: number) => boolean): Rows => {
    const lists = Array.from(rows.users, (_, r) => r).filter(keep);
    const indptr = [0];
    for (const r of lists) indptr.push(indptr.at(-1)! + rows.indptr[r + 1]! - rows.indptr[r]!);
    const take = (a: Int32Array) =>
      Int32Array.from(lists.flatMap(r => [...a.subarray(rows.indptr[r]!, rows.indptr[r + 1]!)]));
    const users = Int32Array.from(lists);
    return {
      n: rows.n,
      users,
      indptr: Int32Array.from(indptr),
      indices: take(rows.indices),
      values: take(rows.values!),
    };
  };
  const paths: string[] = [];
  for (const keep of [(r: number) => r % 3 === 0, (r: number) => r % 3 !== 0]) {
    const segment = await buildSegment(directory, 10, fromNothing(half(keep)), 1, eta);
    paths.push(`${directory}/${segment!.file}`);
  }
  const options = fsaiOptions.parse({ userWeighting: eta, neighbours: 7 });
  const implicit = await fit({ mode: 'implicit', rows, scale: 10 }, options, { threads: 2 });
  const stored = await fit({ mode: 'stored', paths, n: rows.n, scale: 10 }, options, { threads: 2 });
  expect(stored.model).toEqual(implicit.model);
  expect(stored.report.l2).toBe(implicit.report.l2);
  await expect(
    fit({ mode: 'stored', paths, n: rows.n, scale: 10 }, fsaiOptions.parse({ userWeighting: 1 })),
  ).rejects.toMatchObject({ code: 'STATE_MISMATCH' });
});

it.each([
  [9000, 64, 1],
  [150, 64, (64 / 20) ** 0.4],
  [150, 20, 1],
  [20, 64, 1],
])(
  'derives λ from the diagonal, for %i users and %i neighbours times %d',
  async (users, neighbours, times) => {
    // nonzero entries of the Gramian: .70, .13 and .02
    const rows = randomRows({ users, items: 300, density: 0.03, seed: 5 });
    const diagonal = denseGramian(rows).map((row, i) => row[i]!);
    const base = 3 * Math.sqrt(diagonal.reduce((sum, g) => sum + g * g, 0) / rows.n);
    const options = fsaiOptions.parse({ neighbours, userWeighting: 0 });
    const { report } = await fit({ mode: 'implicit', rows, scale: 1 }, options, { threads: 1 });
    expect(report.l2 / base).toBeCloseTo(times, 10);
  },
);
