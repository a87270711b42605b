/** Statements before a query: they reach other files, say which one fails and why, and their secrets are shown nowhere. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { duckdbSignalOptions } from '#connectors/duckdb/signal-options.js';
import { createDuckdbSignals } from '#connectors/duckdb/signals.js';
import { createDuckdbSink } from '#connectors/duckdb/sink.js';
import { duckdbSinkOptions } from '#connectors/duckdb/sink-options.js';
import { createDuckdbSource } from '#connectors/duckdb/source.js';
import { duckdbSourceOptions } from '#connectors/duckdb/source-options.js';
import { runCli } from '../../support/cli.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';

const sourceOf = (setup: readonly string[], query: string, directory: string) =>
  createDuckdbSource(duckdbSourceOptions.parse({ type: 'duckdb', setup: [...setup], query }), directory);

async function warehouse(): Promise<string> {
  const directory = temporaryDirectory();
  await runSql(
    join(directory, 'w.duckdb'),
    "CREATE TABLE sales AS SELECT 'u' AS user, 'i' AS item",
    'CREATE TABLE signals (id VARCHAR, type VARCHAR, options JSON, requested_at TIMESTAMP)',
    "INSERT INTO signals VALUES ('one', 'refit', NULL, NULL)",
  );
  return directory;
}

it('a source reads what the setup attaches, at each opening', async () => {
  const setup = ["ATTACH 'w.duckdb' AS shop (READ_ONLY)", "SET VARIABLE wanted = 'u'"];
  const query = "SELECT * FROM shop.sales WHERE user = getvariable('wanted')";
  const source = sourceOf(setup, query, await warehouse());
  for (let opening = 0; opening < 2; opening++) {
    await source.connect([]);
    expect((await source.read())!.batches[0]!.records.length).toBe(1);
    await source.close();
  }
});

it('signals and sinks have one too', async () => {
  const directory = await warehouse();
  const database = join(directory, 'w.duckdb');
  const wrong = ['SET no_such_setting = 1'];
  const signals = (setup?: string[]) =>
    createDuckdbSignals(duckdbSignalOptions.parse({ type: 'duckdb', database, setup }));
  expect(await signals(['SET threads = 1']).pending()).toHaveLength(1);
  const failed = {
    code: 'SOURCE_UNREADABLE',
    message: expect.stringContaining('setup.0 failed: unrecognized'),
  };
  await expect(signals(wrong).pending()).rejects.toMatchObject(failed);
  const sink = createDuckdbSink(duckdbSinkOptions.parse({ type: 'duckdb', database, setup: wrong }));
  await expect(sink.connect()).rejects.toMatchObject({ message: expect.stringContaining('setup.0 failed') });
});

it('shows all that DuckDB says, and no secret', async () => {
  const directory = await warehouse();
  const config = join(directory, 'pipeline.yaml');
  const setup = ['SET threads = 1', `LOAD 'no/such/\${PLACE}.duckdb_extension'`];
  writeFileSync(config, JSON.stringify({ sources: [{ type: 'duckdb', setup, query: 'SELECT 1' }] }));
  const { code, stderr } = await runCli(['ingest', '-c', config], { env: { PLACE: 'canary-of-setup' } });
  expect(code).toBe(1);
  expect(stderr).toContain('setup.1 failed: ');
  expect(stderr).toContain('no/such/(secret).duckdb_extension');
  expect(stderr).not.toContain('canary-of-setup');
  const shown = await runCli(['validate', '-c', config, '--json'], { env: { PLACE: 'canary-of-setup' } });
  expect(shown.stdout).toContain('(secret).duckdb_extension');
  expect(shown.stdout).not.toContain('canary-of-setup');
});

it('an error of a query has all its lines', async () => {
  const source = sourceOf([], 'SELECT usr AS user, item FROM (SELECT 1 AS user, 2 AS item)', '.');
  await source.connect([]);
  await expect(source.read()).rejects.toMatchObject({
    message: expect.stringMatching(/not found in FROM clause! Candidate bindings: "user"$/),
  });
  await source.close();
});
