/** A query of the warehouse starts refits: one for each time that it turns true, also over restarts, with what was loaded before. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createPipeline, type PipelineOptions } from '#jobs/index.js';
import { silent } from '#src/index.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';
import { startCli, stopCli, until } from '../support/service.js';

const buys = (from: number, to: number): string =>
  `INSERT INTO events SELECT n, 'u' || n % 7, 'i' || n % 5 FROM range(${from}, ${to}) t(n)`;

async function stageWith(when: object) {
  const directory = temporaryDirectory();
  const warehouse = join(directory, 'w.duckdb');
  const config = join(directory, 'pipeline.json');
  await runSql(warehouse, 'CREATE TABLE events (n BIGINT, "user" VARCHAR, item VARCHAR)', buys(0, 40));
  await runSql(warehouse, 'CREATE TABLE loads (done BOOLEAN)');
  const options: PipelineOptions = {
    state: join(directory, 'state'),
    sources: [{ type: 'duckdb', database: warehouse, query: 'SELECT * FROM events', cursor: 'n' }],
    schedule: { pollMs: 100, fold: { cron: '* * * * * *' }, refit: { when } },
  };
  writeFileSync(config, JSON.stringify(options));
  const refits = async () => {
    const pipeline = await createPipeline(options, { log: silent });
    const [runs, models] = [
      await pipeline.parts.store.runs(20, { job: 'refit' }),
      await pipeline.parts.store.models(),
    ];
    await pipeline.close();
    return [...runs].reverse().map(({ trigger, status, version }) => ({
      trigger,
      status,
      events: models.find(m => m.version === version)?.manifest.events,
    }));
  };
  const run = () => startCli(['run', '-c', config]);
  return { warehouse, config, refits, run };
}

/** Writes as another program, which waits for the file. */
const write = (path: string, ...statements: string[]) =>
  until('the file is free', () =>
    runSql(path, ...statements).then(
      () => true,
      () => false,
    ),
  );

const query = 'SELECT bool_or(done) FROM loads';

it('refits once for each turn to true', { timeout: 60_000 }, async () => {
  const { warehouse, config, refits, run } = await stageWith({
    query: { database: 'w.duckdb', query, pollMs: 100 },
  });
  let stage = run();
  await stage.logged('started');
  await write(warehouse, 'BEGIN', buys(40, 60), 'INSERT INTO loads VALUES (true)', 'COMMIT');
  await stage.logged('model fitted');
  await write(warehouse, buys(60, 70)); // still true
  await stopCli(stage);
  stage = run();
  await stage.logged('inbox folded');
  await write(warehouse, 'DELETE FROM loads');
  await until('the turn to false is noted', async () => {
    const { stdout } = await runCli([
      'sql',
      "SELECT job, due FROM schedules WHERE job LIKE 'refit w%'",
      '-c',
      config,
    ]);
    return stdout.includes('1970');
  });
  await write(warehouse, buys(70, 80), 'INSERT INTO loads VALUES (true)');
  await stage.logged('model fitted');
  await stopCli(stage);
  const due = { trigger: expect.stringMatching(/^query:\d+$/), status: 'done' };
  expect(await refits()).toEqual([
    { ...due, events: 60 },
    { ...due, events: 80 },
  ]);
});

it('a query that fails, or gives no truth value, is said by doctor and holds nothing up', async () => {
  const { config, refits, run } = await stageWith({ query: { query: "SELECT 7 AS x, 'no'" } });
  const found = await runCli(['doctor', '-c', config]);
  expect(found.stdout).toMatch(/FAIL {2}when\.query: when\.query: expected true or false, found 7/);
  const stage = run();
  await stage.logged('inbox folded');
  expect(stage.errors()).toContain('expected true or false');
  await stopCli(stage);
  expect(await refits()).toEqual([]);
});
