/** The search over a measure that is a formula: what is tried, what goes on, what is kept, what fails. */
import { describe, expect, it } from 'vitest';
import type { Metrics } from '#src/evaluate/metrics.js';
import { fit, StageError } from '#src/index.js';
import type { IcfOptions } from '#src/solvers/icf/options.js';
import { type FitOptions, fitOptions } from '#src/solvers/index.js';
import { candidate, type Surroundings, searched, surroundingsOf } from '#src/tune/space.js';
import { rungs, type TuneSetting, tune, tuneOptions } from '#src/tune/tune.js';
import { randomRows } from '../../support/rows.js';

const icf = fitOptions.parse({ solver: 'icf' });
const fsai = fitOptions.parse({ solver: 'fsai' });
const around: Surroundings = { n: 1000, derivedL2: eta => 10 / (1 + eta) };
const drawn = (base: FitOptions, seed = 7) =>
  Array.from({ length: 200 }, (_, index) => candidate(base, around, index, seed));
/** How many of the numbers lie in each quarter of a range of logarithms. */
const quarters = (values: readonly number[], low: number, high: number): number[] =>
  [0, 1, 2, 3].map(
    q => values.filter(x => Math.floor((4 * Math.log(x / low)) / Math.log(high / low)) === q).length,
  );
const even = (counts: readonly number[], each: number, within = 4) => {
  for (const count of counts) expect(Math.abs(count - each)).toBeLessThanOrEqual(within);
};

describe('candidates', () => {
  it.each([icf, fsai])('are decided by the seed, and leave alone what is not searched', base => {
    const some = drawn(base);
    expect(drawn(base)).toEqual(some);
    expect(drawn(base, 8)[0]).not.toEqual(some[0]);
    expect(new Set(some.map(o => JSON.stringify(o))).size).toBe(200);
    const kept = (o: FitOptions) =>
      Object.entries(o).filter(([name]) => !searched(base.solver).includes(name) && name !== 'solver');
    for (const o of some) expect(kept(o)).toEqual(kept(base));
    for (const eta of [0, 0.25, 0.5, 0.75]) even([some.filter(o => o.userWeighting === eta).length], 50, 12);
    for (const o of drawn({ ...base, serving: 0 })) expect(o.serving).toBe(0);
  });

  it('of icf fill their bounds evenly', () => {
    const some = drawn(icf).filter(o => o.solver === 'icf');
    even(
      quarters(
        some.map(o => o.l2!),
        1,
        200,
      ),
      50,
    );
    even(
      quarters(
        some.map(o => o.density!),
        0.004,
        0.064,
      ),
      50,
    );
    even([some.filter(o => o.rescale).length], 100);
    const { density } = candidate(icf, { ...around, n: 3 }, 0, 1) as typeof icf & { density: number };
    expect(density).toBeLessThanOrEqual(1);
  });

  it('of fsai fill their bounds evenly, λ around what the data suggest', () => {
    const some = drawn(fsai).filter(o => o.solver === 'fsai');
    const factors = some.map(o => o.l2! / around.derivedL2(o.userWeighting));
    even(quarters(factors, 1 / 5.03, 5.03), 50);
    // three in a row share what decides the passes over G
    for (const m of [10, 20, 32, 64]) even([some.filter(o => o.neighbours === m).length], 50, 12);
    for (const alpha of [0.1, 0.3, 0.5, 0.7, 0.9]) even([some.filter(o => o.alpha === alpha).length], 40, 12);
    const passes = some.map(o => JSON.stringify([o.neighbours, o.alpha, o.userWeighting]));
    for (const [at, pass] of passes.entries()) expect(pass).toBe(passes[at - (at % 3)]);
  });
});

it('suggests to fsai the λ that a fit derives', async () => {
  const rows = randomRows({ users: 60, items: 30, density: 0.2, seed: 3, most: 5 });
  for (const userWeighting of [0, 0.5]) {
    const options = fitOptions.parse({ solver: 'fsai', userWeighting });
    const { report } = await fit({ mode: 'implicit', rows, scale: 10 }, options, { threads: 1 });
    expect(surroundingsOf(rows, 10).derivedL2(userWeighting)).toBeCloseTo(report.l2, 9);
  }
});

it('has rungs of a third of the users each, none too small, the last with all', () => {
  expect(rungs(27, 9000)).toEqual([1000 / 3, 1000, 3000, 9000].map(Math.ceil).filter(x => x >= 400));
  expect(rungs(9, 9000)).toEqual([1000, 3000, 9000]);
  expect(rungs(2, 9000)).toEqual([9000]);
  expect(rungs(24, 150)).toEqual([150]);
});

/** Best where λ = 10 and the layers are small. Fewer users shift the figures by a little. */
function quality(options: FitOptions): number {
  const { l2 = 20, density = 0.02, rescale } = options as IcfOptions;
  return 1 - 0.1 * Math.abs(Math.log(l2 / 10)) - 2 * density - (rescale ? 0.05 : 0);
}

const densityOf = (options: FitOptions): number => (options as IcfOptions).density ?? 0.02;

/** A search over `quality`; `problems` are trials that cannot be fitted. */
function search(over: Partial<TuneSetting> = {}, trials = 27, problems: readonly number[] = []) {
  const calls: { id: number; users: number; options: FitOptions }[] = [];
  const dropped = new Set<number>();
  const setting: TuneSetting = {
    present: icf,
    options: tuneOptions.parse({ trials }),
    candidate: index => candidate(icf, around, index, 1),
    users: 9000,
    fits: () => true,
    async measure(id, options, users) {
      expect(dropped.has(id)).toBe(false);
      calls.push({ id, users, options });
      if (problems.includes(id)) throw new StageError('NOT_POSITIVE_DEFINITE', `trial ${id}`);
      const metrics = { ndcg: quality(options) + 1e-6 * users, ndcgError: 0 } as Metrics;
      return { metrics, parameters: Math.round(1e6 * densityOf(options)), fitSeconds: 1 };
    },
    drop: id => dropped.add(id),
    ...over,
  };
  return { calls, dropped, result: tune(setting) };
}

it('takes the best third to three times the users, and the present options to the end', async () => {
  const { calls, dropped, result } = search();
  const { best, present: now, trials } = await result;
  const users = [...new Set(calls.map(c => c.users))];
  expect(users).toEqual([1000, 3000, 9000]);
  const tried = users.map(u => calls.filter(c => c.users === u));
  expect(tried[0]!.map(c => c.id)).toEqual(Array.from({ length: 27 }, (_, id) => id));
  const ranked = (list: typeof calls) => [...list].sort((a, b) => quality(b.options) - quality(a.options));
  const ids = (list: typeof calls) => new Set(list.map(c => c.id));
  expect(ids(tried[1]!)).toEqual(ids([...ranked(tried[0]!).slice(0, 9), tried[0]![0]!]));
  expect(tried[2]!.length).toBeLessThanOrEqual(4);
  expect(best.id).toBe(ranked(calls)[0]!.id);
  expect(now).toMatchObject({ id: 0, options: icf, users: 9000 });
  expect(trials.map(t => t.id).sort((a, b) => a - b)).toEqual(tried[0]!.map(c => c.id));
  expect(trials[0]).toBe(best);
  const reached = trials.map(t => t.users);
  expect(reached).toEqual([...reached].sort((a, b) => b - a));
  expect(dropped.has(best.id) || dropped.has(0)).toBe(false);
  expect(dropped.size).toBe(27 - tried[2]!.length);
});

it('finds the same again', async () => {
  expect(await search().result).toEqual(await search().result);
});

it('keeps the present options when nothing is better', async () => {
  const present = fitOptions.parse({ l2: 10, density: 0.001 });
  const { best } = await search({ present }).result;
  expect(best).toMatchObject({ id: 0, options: present });
});

it('tries only what fits, and reports what could not be fitted', async () => {
  const { calls, result } = search({ fits: options => densityOf(options) < 0.01 }, 9, [2]);
  const { trials } = await result;
  expect(calls.filter(c => c.id > 0).every(c => densityOf(c.options) < 0.01)).toBe(true);
  expect(trials).toHaveLength(9);
  expect(trials.at(-1)).toMatchObject({ id: 2, metrics: undefined, problem: 'trial 2' });
  const none = await search({ fits: () => false }).result;
  expect(none.trials.map(t => t.id)).toEqual([0]);
});

it('fails when the present options do, and on errors of another kind', async () => {
  await expect(search({}, 9, [0]).result).rejects.toMatchObject({ code: 'NOT_POSITIVE_DEFINITE' });
  const broken = search({
    async measure() {
      throw new StageError('INTERRUPTED', 'stopped');
    },
  });
  await expect(broken.result).rejects.toMatchObject({ code: 'INTERRUPTED' });
});
