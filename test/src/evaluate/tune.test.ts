/** The search over a measure that is a formula: what is tried, what goes on, what is kept, what fails. */
import { expect, it } from 'vitest';
import type { Metrics } from '#src/evaluate/metrics.js';
import { candidate, searched } from '#src/evaluate/space.js';
import { rungs, type TuneSetting, tune, tuneOptions } from '#src/evaluate/tune.js';
import { StageError } from '#src/index.js';
import { type FitOptions, fitOptions, fsaiOptions, icfOptions } from '#src/options.js';

const present = icfOptions.parse({ l2: 20, density: 0.01 });
/** Options as one record, whichever solver's they are. */
const plain = (options: FitOptions) => options as typeof present & { l2: number; density: number };
const n = 1000;

it('draws candidates within their bounds, evenly, by the seed', () => {
  const drawn = Array.from({ length: 200 }, (_, index) => plain(candidate(present, n, index, 7)));
  expect(drawn).toEqual(Array.from({ length: 200 }, (_, index) => candidate(present, n, index, 7)));
  expect(candidate(present, n, 0, 8)).not.toEqual(drawn[0]);
  for (const { l2, density, scans } of drawn) {
    expect(l2).toBeGreaterThanOrEqual(1);
    expect(l2).toBeLessThanOrEqual(200);
    expect(density).toBeGreaterThanOrEqual(0.004);
    expect(density).toBeLessThanOrEqual(0.064);
    expect(scans).toBe(present.scans);
  }
  // A quarter of the values in each quarter of the logarithmic range, half of the choices each.
  for (let q = 0; q < 4; q++) {
    const inside = drawn.filter(o => Math.floor(4 * (Math.log(o.l2) / Math.log(200))) === q);
    expect(Math.abs(inside.length - 50)).toBeLessThanOrEqual(3);
  }
  expect(Math.abs(drawn.filter(o => o.rescale).length - 100)).toBeLessThanOrEqual(3);
  expect(plain(candidate(present, 3, 0, 1)).density).toBeLessThanOrEqual(1);
  const names = ['userWeighting', 'serving'];
  expect(Object.keys(searched(present))).toEqual(['l2', 'density', 'rescale', ...names]);
  const fsai = fsaiOptions.parse({});
  expect(searched(fsai)).toMatchObject({ l2: 'default', neighbours: 'default', alpha: 0.3 });
  for (let index = 0; index < 50; index++)
    expect(fitOptions.safeParse(candidate(fsai, n, index, 1)).success).toBe(true);
});

it('has rungs of a third of the users each, none too small, the last with all', () => {
  expect(rungs(27, 9000)).toEqual([1000 / 3, 1000, 3000, 9000].map(Math.ceil).filter(x => x >= 400));
  expect(rungs(9, 9000)).toEqual([1000, 3000, 9000]);
  expect(rungs(2, 9000)).toEqual([9000]);
  expect(rungs(24, 150)).toEqual([150]);
});

/** Best where λ = 10 and the layers are small. Fewer users shift the figures by a little. */
const quality = (options: FitOptions): number => {
  const { l2, density, rescale } = plain(options);
  return 1 - 0.1 * Math.abs(Math.log(l2 / 10)) - 2 * density - (rescale ? 0.05 : 0);
};

/** A search over `quality`; `problems` are trials that cannot be fitted. */
function search(over: Partial<TuneSetting> = {}, trials = 27, problems: readonly number[] = []) {
  const calls: { id: number; users: number; options: FitOptions }[] = [];
  const dropped = new Set<number>();
  const setting: TuneSetting = {
    present,
    options: tuneOptions.parse({ trials }),
    n,
    users: 9000,
    fits: () => true,
    async measure(id, options, users) {
      expect(dropped.has(id)).toBe(false);
      calls.push({ id, users, options });
      if (problems.includes(id)) throw new StageError('NOT_POSITIVE_DEFINITE', `trial ${id}`);
      const metrics = { ndcg: quality(options) + 1e-6 * users, ndcgError: 0 } as Metrics;
      return { metrics, parameters: Math.round(1e6 * plain(options).density), fitSeconds: 1 };
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
  expect(tried[2]!.length).toBeLessThanOrEqual(5);
  expect(best.id).toBe(ranked(calls)[0]!.id);
  expect(now).toMatchObject({ id: 0, options: present, users: 9000 });
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
  const fit = fitOptions.parse({ l2: 10, density: 0.001 });
  const { best } = await search({ present: fit }).result;
  expect(best).toMatchObject({ id: 0, options: fit });
});

it('tries only what fits, and reports what could not be fitted', async () => {
  const { calls, result } = search({ fits: options => plain(options).density < 0.01 }, 9, [2]);
  const { trials } = await result;
  expect(calls.filter(c => c.id > 0).every(c => plain(c.options).density < 0.01)).toBe(true);
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
