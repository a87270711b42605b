import { join } from 'node:path';
import { expect, it } from 'vitest';
import { duckdbSignalOptions } from '#connectors/duckdb/signal-options.js';
import { createDuckdbSignals } from '#connectors/duckdb/signals.js';
import { temporaryDirectory } from '../../support/directory.js';
import { runSql } from '../../support/duckdb.js';

it('without its table, signals say how to make it', async () => {
  const database = join(temporaryDirectory(), 'w.duckdb');
  await runSql(database, 'CREATE TABLE other (n INTEGER)');
  const signals = createDuckdbSignals(duckdbSignalOptions.parse({ type: 'duckdb', database }));
  const failure = (await signals.pending().catch((error: unknown) => error)) as Error & { remedy: string };
  expect(failure).toMatchObject({ code: 'SOURCE_UNREADABLE', message: expect.stringContaining(database) });
  await runSql(database, failure.remedy.replace(/^[^:]*: /, ''));
  expect(await signals.pending()).toEqual([]);
});
