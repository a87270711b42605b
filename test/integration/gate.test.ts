/** A refit that is worse than the published model, as `run` and its users see it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { PipelineOptions } from '#jobs/index.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { purchasesPipeline } from '../support/purchases.js';
import { onDatabase, startCli, stopCli, until } from '../support/service.js';

const never = '0 0 1 1 *';

it('is not published, and everybody is told why', async () => {
  const directory = temporaryDirectory();
  const warehouse = join(directory, 'w.duckdb');
  const settings: PipelineOptions = {
    sinks: [{ type: 'files', path: 'feeds' }],
    signals: { type: 'duckdb', database: 'w.duckdb', pollMs: 100 },
    schedule: { pollMs: 100, fold: { cron: never } },
    gate: { holdout: 'random', share: 0.3, minimum: 0.9 },
  };
  const config = await purchasesPipeline(directory, settings);
  const write = (sql: string) => onDatabase(warehouse, 'write', c => c.run(sql));
  await write(
    'CREATE TABLE signals (id VARCHAR, type VARCHAR, options VARCHAR, requested_at TIMESTAMP DEFAULT now())',
  );
  const result = (id: string) =>
    until(`a result of ${id}`, () =>
      onDatabase(warehouse, 'read', async c => {
        const tables = await c.runAndReadAll("FROM duckdb_tables() WHERE table_name = 'signal_results'");
        if (tables.currentRowCount === 0) return undefined;
        const sql = `SELECT status, version, message FROM signal_results WHERE id = '${id}'`;
        return (await c.runAndReadAll(sql)).getRowObjectsJS()[0] as Record<string, string> | undefined;
      }),
    );
  const published = (): string => readFileSync(join(directory, 'feeds', 'current'), 'utf8').trim();

  const service = startCli(['run', '-c', config]);
  await write(`INSERT INTO signals (id, type) VALUES ('good', 'refit')`);
  const good = await result('good');
  expect(good, service.errors()).toMatchObject({ status: 'done', message: 'fitted and published' });
  await write(`INSERT INTO signals (id, type, options) VALUES ('bad', 'refit', '{"density": 1e-6}')`);
  const bad = await result('bad');
  const reason = new RegExp(`ndcg@20 0\\.\\d+ < 0\\.9 × 0\\.\\d+ of the published model ${good.version}$`);
  expect(bad).toMatchObject({
    status: 'done',
    message: expect.stringMatching(/^fitted, not published: model /),
  });
  expect(bad.message).toMatch(reason);
  expect(published()).toBe(good.version);
  const warned = await service.logged(
    `not published: ${bad.message!.replace('fitted, not published: ', '')}`,
  );
  expect(warned.level).toBe('warn');
  await stopCli(service);

  const status = await runCli(['status', '-c', config, '--json']);
  const text = await runCli(['status', '-c', config]);
  expect(status.json()).toMatchObject({
    published: good.version,
    gate: { version: bad.version, passed: false, reason: expect.stringMatching(reason) },
    runs: [
      { job: 'publish', status: 'done', detail: expect.stringMatching(/^held back: model .* ndcg@20/) },
      {},
      {},
      {},
    ],
  });
  expect(text.stdout).toMatch(new RegExp(`^gate +model ${bad.version} is held back: ndcg@20 `, 'm'));
  const manifest = JSON.parse(
    readFileSync(join(directory, 'state/models', good.version!, 'manifest.json'), 'utf8'),
  );
  expect(manifest.metrics).toMatchObject({
    measured: { holdout: 'random', share: 0.3, k: 20, metric: 'ndcg', sample: 5000 },
    quality: { ndcg: expect.any(Number), ndcgError: expect.any(Number), users: expect.any(Number) },
  });

  // A publication by the clock is held back like that of a refit; one that a person asks for is not.
  writeFileSync(
    config,
    JSON.stringify({
      ...JSON.parse(readFileSync(config, 'utf8')),
      schedule: { pollMs: 100, fold: { cron: never }, publish: { cron: '* * * * * *' } },
    }),
  );
  const clock = startCli(['run', '-c', config]);
  await until('a publication is held back', () =>
    clock.log().find(line => /^not published/.test(line.msg) && /^cron:/.test(String(line.trigger))),
  );
  await stopCli(clock);
  expect(published()).toBe(good.version);
  expect((await runCli(['publish', '-c', config])).code).toBe(0);
  expect(published()).toBe(bad.version);
});
