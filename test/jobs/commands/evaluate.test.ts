/** `evaluate` on a state: what it holds out, what it says, and what it refuses. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline } from '#jobs/index.js';
import { holdoutOptions } from '#src/evaluate/options.js';
import { createHoldouts } from '#src/stages/holdouts.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';
import { purchasesPipeline } from '../../support/purchases.js';
import { startCli, stopCli, until } from '../../support/service.js';

it('holds out, fits on the rest and measures, alike for the same seed', async () => {
  const config = await purchasesPipeline(temporaryDirectory());
  const empty = await runCli(['evaluate', '-c', config, '--json']);
  expect([empty.code, empty.stderr]).toEqual([
    1,
    expect.stringMatching(/^STATE_EMPTY: .*hold out, found none/m),
  ]);
  await runCli(['ingest', '-c', config]);
  await runCli(['fold', '-c', config]);
  const evaluate = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(['evaluate', '-c', config, '--json', ...args]);
    expect([code, stderr.replace(/^(reading|scoring|\w+ \d+%)$/gm, '').trim()]).toEqual([0, '']);
    const found = JSON.parse(stdout) as Record<string, unknown>;
    for (const volatile of ['fitSeconds', 'scoreSeconds', 'serving', 'peakRssBytes', 'fit'])
      delete found[volatile];
    return found;
  };
  const last = await evaluate('--holdout', 'last', '--bootstrap', '100');
  // The newest purchase is of no group: nobody finds it often.
  expect(last).toMatchObject({ users: 120, holdout: { holdout: 'last', seed: 1, testInteractions: 120 } });
  expect(await evaluate('--holdout', 'last', '--bootstrap', '100')).toEqual(last);
  const random = await evaluate('--holdout', 'random', '--share', '0.3', '--seed', '5', '--k', '10');
  expect(random['recall@10']).toBeGreaterThan(0.6);
  expect(random).toMatchObject({ items: 70, solver: 'icf', options: { l2: 2 } });
  const sample = await evaluate('--holdout', 'random', '--share', '0.3', '--seed', '5', '--sample', '30');
  expect(sample).toMatchObject({ users: 30, interactions: random.interactions });
  const cut = await evaluate('--cut', '2026-01-31', '--l2', '7');
  expect(cut).toMatchObject({
    options: { l2: 7 },
    interactions: 720,
    holdout: { holdout: 'time', cut: '2026-01-31T00:00:00.000Z', testInteractions: 360 },
  });
  expect(Object.keys(cut)).toEqual(
    expect.arrayContaining(['hitRate@20', 'mrr@20', 'novelty', 'hitRateError', 'mrrError', 'noveltyError']),
  );

  const nothing = await runCli(['evaluate', '-c', config, '--cut', '2030-01-01']);
  expect([nothing.code, nothing.stderr]).toEqual([
    1,
    expect.stringMatching(/^DATA_INVALID: holdout time cut at/m),
  ]);
  const wrong = await runCli(['evaluate', '-c', config, '--holdout', 'first', '--share', '2']);
  expect(wrong.stderr).toMatch(/options: holdout: expected one of "last", "time", "random", found "first"/);
  expect(wrong.stderr).toMatch(/options: share: expected number to be <1, found 2/);
});

it('ends at once on SIGTERM, in the middle of a long fit too, and leaves nothing behind', async () => {
  const directory = temporaryDirectory();
  const pairs = `COPY (SELECT range % 3000 AS "user", (range * 7919) % 2003 AS item FROM range(60000)) TO`;
  for (const name of ['train', 'test'])
    await runSql(':memory:', `${pairs} '${join(directory, `${name}.parquet`)}'`);
  const temporary = join(directory, 'tmp');
  mkdirSync(temporary);
  const files = ['--train', join(directory, 'train.parquet'), '--test', join(directory, 'test.parquet')];
  const args = ['evaluate', ...files, '--solver', 'elsa', '--steps', '1000', '--json'];
  const long = startCli(args, { TMPDIR: temporary });
  await until('the fit to begin', () => /factor/.test(long.errors()) || undefined);
  const { code, seconds } = await stopCli(long);
  expect(JSON.parse(long.output()).error).toMatchObject({
    code: 'INTERRUPTED',
    message: 'evaluate was stopped',
  });
  expect([code, readdirSync(temporary)]).toEqual([1, []]);
  expect(seconds).toBeLessThan(5);
});

it('refuses a holdout of files, and files beside a state', async () => {
  const files = ['evaluate', '--train', 'x', '--test', 'y'];
  const [part, both] = await Promise.all([
    runCli([...files, '--share', '0.3']),
    runCli([...files, '-c', await purchasesPipeline(temporaryDirectory())]),
  ]);
  expect([part.code, part.stderr]).toEqual([2, expect.stringMatching(/expected --share with -c only/)]);
  expect([both.code, both.stderr]).toEqual([
    2,
    expect.stringMatching(/--train FILE and --test FILE, or -c FILE/),
  ]);
});

it('refuses a holdout that does not fit the memory', async () => {
  const directory = temporaryDirectory();
  await purchasesPipeline(directory);
  const sources = [
    { type: 'duckdb' as const, database: 'w.duckdb', query: 'SELECT * FROM events', cursor: 'line' },
  ];
  const pipeline = await createPipeline({ sources }, { baseDirectory: directory });
  try {
    await pipeline.ingest();
    await pipeline.fold();
    const { holdOut } = createHoldouts({ ...pipeline.parts, fitMemoryBytes: 25_000 });
    await expect(holdOut(holdoutOptions.parse({}))).rejects.toMatchObject({
      code: 'MEMORY_BUDGET',
      message: expect.stringMatching(
        /a holdout of 1080 interactions takes 1 MiB, found 0 MiB; memory: \d+ MiB would do/,
      ),
    });
  } finally {
    await pipeline.close();
  }
});

it('warns where most test pairs are in the train file', async () => {
  const cwd = temporaryDirectory();
  const pairs = (rows: number) =>
    `SELECT 'u' || (k % 20) AS "user", 'i' || (k * k % 23) AS item FROM range(${rows}) r(k)`;
  await runSql(
    ':memory:',
    `COPY (${pairs(300)}) TO '${join(cwd, 'train.csv')}'; COPY (${pairs(60)}) TO '${join(cwd, 'test.csv')}'`,
  );
  const said = await runCli(['evaluate', '--train', 'train.csv', '--test', 'test.csv'], { cwd });
  expect([said.code, said.stdout.split('\n')[0]]).toEqual([
    0,
    expect.stringMatching(/^warning: (\d+) of \1 test pairs are in the train file too/),
  ]);
});
