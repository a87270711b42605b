/** Drift since a model: none without a change, measured once a minute, and a refit that comes of it once. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createPipeline, loadConfig, type Pipeline, type PipelineOptions } from '#jobs/index.js';
import { contextOf, runChain } from '#jobs/job.js';
import { fold } from '#jobs/kinds/fold.js';
import { refit } from '#jobs/kinds/refit.js';
import { status } from '#jobs/operations/status.js';
import { cli } from '#jobs/trigger.js';
import { passedLimit } from '#jobs/when.js';
import { silent } from '#src/index.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { purchasesPipeline } from '../support/purchases.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-03-01T12:00:00Z') }));
afterEach(() => void vi.useRealTimers());
const minute = 60_000;
const later = (ms: number) => vi.setSystemTime(Date.now() + ms);

/** Item i of 200 has a share that falls with i; shifted, one that rises. Each user buys a few. */
const events = (from: number, users: number, item: string) =>
  `INSERT INTO events SELECT ${from} + row_number() OVER (), 'n' || (${from} + u), ${item},
    make_timestamp(1767225600000000 + ${from}::BIGINT * 1000000)
   FROM range(${users}) t(u), range(6) s(k)`;
/** A number in [0, 1) that a hash decides. */
const drawn = (salt: number) => `(hash(u, k, ${salt}) % 10000 / 10000.0)`;
const usual = (salt: number) => `'p' || floor(200 * pow(${drawn(salt)}, 3))::INTEGER`;
const shifted = (salt: number) => `'p' || floor(200 * (1 - pow(${drawn(salt)}, 3)))::INTEGER`;

/** A stage over drawn purchases of 900 users. */
async function stage(options: PipelineOptions = {}) {
  const directory = temporaryDirectory();
  const path = await purchasesPipeline(directory, options);
  const buy = (from: number, users: number, item: string) =>
    runSql(join(directory, 'w.duckdb'), events(from, users, item));
  await runSql(join(directory, 'w.duckdb'), 'DELETE FROM events');
  await buy(0, 900, usual(1));
  const { config, baseDirectory } = loadConfig(path);
  const pipeline = await createPipeline(config, { baseDirectory, log: silent });
  const context = contextOf(pipeline, {});
  const folded = async () => {
    await pipeline.ingest();
    return runChain(context, fold, cli, {});
  };
  const drift = async () => (await pipeline.drifts()).get((await pipeline.manifestOf()).version)!;
  return { directory, pipeline, context, buy, folded, drift };
}
type Refits = readonly { readonly trigger: string; readonly status: string }[];
const refits = async ({ parts }: Pipeline): Promise<Refits> => parts.store.runs(20, { job: 'refit' });

it('finds a shift of popularity, new users and items, and volume; and none where nothing has changed', async () => {
  const { pipeline, context, buy, folded, drift, directory } = await stage();
  try {
    await folded();
    await runChain(context, refit, cli, {});
    const { events: before, items, version } = await pipeline.manifestOf();
    expect(await drift()).toEqual({ volume: 0, newUsers: 0, newItems: 0, popularity: 0 });

    await buy(10_000, 100, usual(2));
    await folded();
    expect(await drift()).toMatchObject({ volume: 0 }); // it was measured in this minute
    later(minute);
    expect(await drift()).toMatchObject({ volume: 600 / before, newUsers: 0.1, popularity: 0 });

    await buy(20_000, 300, shifted(3));
    await buy(30_000, 1, "'new' || k");
    await folded();
    later(minute);
    const found = await drift();
    expect(found).toMatchObject({ volume: (600 + 1800 + 6) / before, newUsers: 401 / 1301 });
    expect(found.newItems).toBeCloseTo(1 - items.count / (await pipeline.parts.store.itemUsers()).length, 12);
    expect(found.newItems).toBeGreaterThan(0);
    expect(found.popularity).toBeGreaterThan(0.25);
    const told = (await status.run({ pipeline, jobs: context, progress: () => undefined }, {})).newest;
    expect(told!.drift).toEqual(found);

    // Without the buckets the rest is told.
    rmSync(join(directory, 'state', 'models', version, 'popularity.u8'));
    later(minute);
    expect(await drift()).toEqual({ ...found, popularity: undefined });
  } finally {
    await pipeline.close();
  }
});

it('keeps its buckets when items leave the model', async () => {
  const { pipeline, context, buy, folded, drift } = await stage();
  try {
    await buy(1_000, 1, "'gone' || k");
    await folded();
    await runChain(context, refit, cli, {});
    const { popularity } = await pipeline.manifestOf();
    await pipeline.forget('n1000');
    await buy(10_000, 300, shifted(3));
    await folded();
    later(minute);
    expect((await pipeline.manifestOf()).popularity).toEqual(popularity);
    expect((await drift()).popularity).toBeGreaterThan(0.25);
  } finally {
    await pipeline.close();
  }
});

it('refits once when a limit is passed', async () => {
  const { pipeline, buy, folded } = await stage({
    schedule: { refit: { when: { popularity: 0.25, age: '7d' } } },
  });
  try {
    await folded();
    expect(await refits(pipeline)).toEqual([]); // no model, no drift
    await runChain(contextOf(pipeline, {}), refit, cli, {});
    const folds = async () => {
      for (let k = 0; k < 3; k++, later(minute)) await folded();
    };
    await buy(10_000, 100, usual(2));
    await folds();
    expect(await refits(pipeline)).toHaveLength(1);

    await buy(20_000, 300, shifted(3));
    await folds();
    await folds();
    const [by, ...others] = await refits(pipeline);
    expect(others).toHaveLength(1);
    expect(by).toMatchObject({ trigger: `drift:popularity:${5400 + 600 + 1800}`, status: 'done' });

    // A model grows old, but none is made where nothing has come since.
    later(8 * 86_400_000);
    await folds();
    expect(await refits(pipeline)).toHaveLength(2);
    await buy(40_000, 1, usual(4));
    await folds();
    expect((await refits(pipeline)).map(r => r.trigger)).toEqual([
      `drift:age:${5400 + 600 + 1800 + 6}`,
      by!.trigger,
      'cli',
    ]);
  } finally {
    await pipeline.close();
  }
});

it('passes a limit by more than it', () => {
  const drift = { volume: 0.2, newUsers: 0.1, newItems: 0, popularity: undefined };
  const model = { createdAt: new Date().toISOString() } as Parameters<typeof passedLimit>[2];
  expect(passedLimit({ volume: 0.2, newUsers: 0.1, newItems: 0.01, popularity: 0.1 }, drift, model)).toBe(
    undefined,
  );
  expect(passedLimit({ newUsers: 0.09, volume: 0.19 }, drift, model)).toBe('newUsers');
  expect(passedLimit({ newUsers: 0.01, age: '1m' }, { ...drift, volume: 0 }, model)).toBe(undefined);
});
