import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type BenchOptions, dataSet, root, runCli } from './environment.js';

const retail = join(root, 'examples/data/online-retail.parquet');

/** What is sold in the last fifth of the time, to customers and of articles that were there before. */
export const retailSplit = `
  CREATE TABLE sales AS SELECT customer_id AS "user", stock_code AS item, min(invoice_date) AS sold
    FROM '${retail}' WHERE customer_id IS NOT NULL AND quantity > 0 GROUP BY ALL;
  CREATE TABLE train AS SELECT "user", item FROM sales WHERE sold <= (SELECT quantile_disc(sold, 0.8) FROM sales);
  CREATE TABLE test AS SELECT "user", item FROM sales WHERE sold > (SELECT quantile_disc(sold, 0.8) FROM sales)
    AND "user" IN (SELECT "user" FROM train) AND item IN (SELECT item FROM train);`;

/**
 * 6,000 users of 40 to 400 items among 3,000, in 25 tastes of which each user has two, with a popularity of the power
 * −0.8: small, dense and skewed, unlike the other sets. A fifth of each user's items is the test.
 */
export const generated = `
  CREATE TABLE users AS SELECT range AS "user", (40 + 360 * (hash(range * 31 + 1) % 10007 / 10007.0) ** 3)::INTEGER AS d,
    hash(range * 31 + 2) % 25 AS taste, hash(range * 31 + 3) % 25 AS other FROM range(6000);
  CREATE TABLE items AS SELECT range AS item, hash(range * 17 + 5) % 25 AS taste, (range + 1) ** -0.8 AS popularity FROM range(3000);
  CREATE TABLE picks AS SELECT "user", item FROM (
    SELECT u."user", i.item, d, row_number() OVER (PARTITION BY u."user" ORDER BY
      -ln((1 + hash(u."user" * 3001 + i.item) % 1000003) / 1000004.0) /
      (popularity * CASE WHEN i.taste = u.taste THEN 12 WHEN i.taste = u.other THEN 6 ELSE 1 END)) AS rank
    FROM users u, items i) WHERE rank <= d;
  CREATE TABLE train AS SELECT * FROM picks WHERE hash("user" * 7919 + item * 13) % 5 <> 0;
  CREATE TABLE test AS SELECT * FROM picks WHERE hash("user" * 7919 + item * 13) % 5 = 0;`;

/**
 * 20,000 users of up to 300 draws among 17,000 items in 100 tastes: half of the draws in their own, a quarter in another, the rest in
 * any; within a taste an item's share falls as a power of its rank. A fifth is the test.
 */
export const market = `
  CREATE TABLE draws AS SELECT u AS "user", unnest(range((20 + 280 * (hash(u * 31 + 1) % 10007 / 10007.0) ** 3)::INTEGER)) AS k FROM range(20000) t(u);
  CREATE TABLE picks AS SELECT DISTINCT "user", CASE
      WHEN hash("user" * 512 + k + 7) % 4 < 2 THEN hash("user" * 31 + 2) % 100
      WHEN hash("user" * 512 + k + 7) % 4 = 2 THEN hash("user" * 31 + 3) % 100
      ELSE hash("user" * 512 + k + 11) % 100 END
    + 100 * floor(170 * (hash("user" * 512 + k + 13) % 1000003 / 1000003.0) ** 3)::INTEGER AS item FROM draws;
  CREATE TABLE train AS SELECT * FROM picks WHERE hash("user" * 7919 + item * 13) % 5 <> 0;
  CREATE TABLE test AS SELECT * FROM picks WHERE hash("user" * 7919 + item * 13) % 5 = 0;`;

/** The `count` items of a split that most users have. */
export const bestSellers = (train: string, test: string, count: number): string => `
  CREATE TABLE best AS SELECT item FROM '${train}' GROUP BY item ORDER BY count(*) DESC, item LIMIT ${count};
  CREATE TABLE train AS SELECT "user", item FROM '${train}' WHERE item IN (FROM best);
  CREATE TABLE test AS SELECT "user", item FROM '${test}' WHERE item IN (FROM best) AND "user" IN (SELECT "user" FROM train);`;

/** Makes train and test files by SQL. */
export async function files(directory: string, name: string, sql: string) {
  const paths = {
    train: join(directory, `${name}-train.parquet`),
    test: join(directory, `${name}-test.parquet`),
  };
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(sql);
  for (const [table, path] of Object.entries(paths)) await connection.run(`COPY ${table} TO '${path}'`);
  connection.closeSync();
  instance.closeSync();
  return paths;
}

interface Tuned {
  readonly best: { readonly options: object };
  readonly test: Readonly<Record<'best' | 'present', Readonly<Record<string, number>>>>;
}

/**
 * How near the defaults of fsai come to tuned options, on sets that they were not chosen on alone: the winner of a search
 * on a part of the train file, and the defaults, both fitted on all of it and measured on the test file.
 */
export async function benchDefaults({ data, log }: BenchOptions): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-defaults-'));
  try {
    const sets: Record<string, { readonly train: string; readonly test: string }> = {
      gowalla: dataSet(data, 'gowalla'),
      'online-retail, last fifth of the time': await files(directory, 'retail', retailSplit),
      'generated, dense and skewed': await files(directory, 'generated', generated),
    };
    const results: Record<string, object> = {};
    for (const [name, { train, test }] of Object.entries(sets)) {
      const flags = ['--solver', 'fsai', '--trials', '27'];
      const found = runCli(['tune', '--train', train, '--test', test, ...flags]) as unknown as Tuned;
      const [tuned, defaults] = [found.test.best['ndcg@20']!, found.test.present['ndcg@20']!];
      log(
        `${name}: defaults ${defaults.toFixed(4)}, tuned ${tuned.toFixed(4)}: ${(defaults / tuned).toFixed(3)}`,
      );
      results[name] = { defaults, tuned, ratio: defaults / tuned, options: found.best.options };
    }
    return { metric: 'ndcg@20', sets: results };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
