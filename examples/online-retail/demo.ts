/**
 * A year of a shop, replayed: each month's invoice lines arrive in a warehouse table, the pipeline takes
 * them in, folds them, refits, is measured on the month that follows, and publishes.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import {
  foldStep,
  loadConfig,
  openPipeline,
  type Pipeline,
  publishStep,
  refitStep,
} from '../../jobs/index.js';
import { createProgress } from '../../jobs/progress.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const data = join(root, 'examples/data/online-retail.parquet');
const directory = resolve(process.env.DEMO_DIRECTORY ?? 'demo-state');
const warehousePath = join(directory, 'warehouse.duckdb');
const k = 20;

/** Lines of known customers for stock that is a product: five digits, perhaps a letter. */
const lines = `SELECT row_number() OVER (ORDER BY invoice_date, invoice_no, stock_code, quantity) AS line, *
  FROM '${data.replaceAll("'", "''")}'
  WHERE customer_id IS NOT NULL AND quantity <> 0 AND regexp_matches(stock_code, '^[0-9]{5}')`;

const say = (text = ''): void => void process.stdout.write(`${text}\n`);

/** One month's line of the report. */
interface Month {
  readonly month: string;
  readonly events: number;
  readonly interactions: number;
  readonly quality:
    | { readonly recall: number; readonly recallError: number; readonly ndcg: number; readonly users: number }
    | undefined;
  readonly popularity: number | undefined;
}

/** Sales that the year's lines put into the warehouse, month by month. */
async function addMonth(warehouse: DuckDBConnection, month: string): Promise<number> {
  const { rowsChanged } = await warehouse.run(
    `INSERT INTO sales SELECT * FROM memory.lines WHERE strftime(invoice_date, '%Y-%m') = '${month}' ORDER BY line`,
  );
  return Number(rowsChanged);
}

/** First purchases of a month by customers who bought before: what the model ought to have recommended. */
async function firstPurchases(
  lake: DuckDBConnection,
  month: string,
): Promise<{ user: string; item: string }[]> {
  const reader = await lake.runAndReadAll(`
    WITH bought AS (SELECT customer_id, stock_code, min(invoice_date) AS first FROM memory.lines WHERE quantity > 0 GROUP BY ALL)
    SELECT customer_id::VARCHAR AS "user", stock_code AS item FROM bought
    WHERE strftime(first, '%Y-%m') = '${month}'
      AND customer_id IN (SELECT customer_id FROM bought WHERE strftime(first, '%Y-%m') < '${month}')`);
  return reader.getRowObjectsJS() as { user: string; item: string }[];
}

/** Recall@k of the k best sellers that each customer has not bought: what the model must beat. */
async function bestSellers(lake: DuckDBConnection, month: string): Promise<number> {
  const reader = await lake.runAndReadAll(`
    WITH bought AS (SELECT customer_id AS u, stock_code AS i, min(invoice_date) AS first FROM memory.lines WHERE quantity > 0 GROUP BY ALL),
    past AS (SELECT u, i FROM bought WHERE strftime(first, '%Y-%m') < '${month}'),
    wanted AS (SELECT u, i FROM bought SEMI JOIN past USING (u) WHERE strftime(first, '%Y-%m') = '${month}'),
    popular AS (SELECT i, count(*) AS n FROM past GROUP BY i ORDER BY n DESC, i LIMIT 1000),
    ranked AS (SELECT w.u, p.i, row_number() OVER (PARTITION BY w.u ORDER BY p.n DESC, p.i) AS r
      FROM (SELECT DISTINCT u FROM wanted) w CROSS JOIN popular p ANTI JOIN past ON past.u = w.u AND past.i = p.i),
    hits AS (SELECT u, i FROM ranked SEMI JOIN wanted USING (u, i) WHERE r <= ${k})
    SELECT avg(coalesce(h.n, 0) / w.n) FROM (SELECT u, count(*) AS n FROM wanted GROUP BY u) w
    LEFT JOIN (SELECT u, count(*) AS n FROM hits GROUP BY u) h USING (u)`);
  return Number(reader.getRowsJS()[0]![0]);
}

async function names(lake: DuckDBConnection): Promise<ReadonlyMap<string, string>> {
  const reader = await lake.runAndReadAll(
    'SELECT stock_code, mode(trim(description)) FROM memory.lines WHERE description IS NOT NULL GROUP BY 1',
  );
  return new Map(reader.getRowsJS().map(([code, name]) => [String(code), String(name)]));
}

function report(months: readonly Month[]): void {
  say('  model after   events  interactions   recall@20 on the next month   best sellers   customers');
  for (const { month, events, interactions, quality, popularity } of months) {
    const measured = quality
      ? `${quality.recall.toFixed(4)} ± ${quality.recallError.toFixed(4)}`.padStart(29) +
        popularity!.toFixed(4).padStart(15) +
        quality.users.toLocaleString('en-US').padStart(12)
      : '      (no month follows)'.padStart(29);
    say(
      `  ${month.padEnd(11)}${events.toLocaleString('en-US').padStart(9)}${interactions.toLocaleString('en-US').padStart(14)}${measured}`,
    );
  }
}

async function examples(pipeline: Pipeline, lake: DuckDBConnection): Promise<void> {
  const name = await names(lake);
  const show = (code: string): string => `${code.padEnd(8)} ${name.get(code) ?? ''}`;
  const customers = await lake.runAndReadAll(`
    SELECT customer_id::VARCHAR FROM memory.lines WHERE quantity > 0 GROUP BY 1
    HAVING count(DISTINCT stock_code) BETWEEN 15 AND 40 ORDER BY max(invoice_date) DESC, 1 LIMIT 3`);
  for (const [customer] of customers.getRowsJS()) {
    const history = await lake.runAndReadAll(`
      SELECT stock_code FROM memory.lines WHERE customer_id = ${customer} AND quantity > 0
      GROUP BY 1 ORDER BY max(invoice_date) DESC, 1 LIMIT 4`);
    say(`\n  Customer ${customer}, who last bought`);
    for (const [code] of history.getRowsJS()) say(`      ${show(String(code))}`);
    say('    is recommended');
    for (const code of (await pipeline.recommend(String(customer), 5)).items) say(`    + ${show(code)}`);
  }
  for (const code of ['22423', '85123A', '20725']) {
    say(`\n  Goes with ${show(code)}`);
    for (const other of (await pipeline.similar(code, 4)).items) say(`    ~ ${show(other)}`);
  }
}

const started = performance.now();
if (!existsSync(data)) {
  process.stderr.write(
    `${data}: expected the data set of the demo, found none; restore it from the repository\n`,
  );
  process.exit(1);
}
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory, { recursive: true });
process.env.DEMO_DIRECTORY = directory;

// The lake holds the whole year; the warehouse only what has happened so far.
const lakeInstance = await DuckDBInstance.create(':memory:', { memory_limit: '1GB' });
const lake = await lakeInstance.connect();
await lake.run(`CREATE TABLE lines AS ${lines}`);
await lake.run(`ATTACH '${warehousePath.replaceAll("'", "''")}' AS warehouse`);
await lake.run('CREATE TABLE warehouse.sales AS SELECT * FROM lines LIMIT 0');
await lake.run('DETACH warehouse');
const months = (
  await lake.runAndReadAll("SELECT DISTINCT strftime(invoice_date, '%Y-%m') FROM lines ORDER BY 1")
)
  .getRowsJS()
  .map(([m]) => String(m));

const progress = createProgress(process.stdout);
const pipeline = await openPipeline(loadConfig(join(root, 'examples/online-retail/pipeline.yaml')));
const { store } = pipeline.parts;
const rows: Month[] = [];
say(
  `Replaying ${months[0]} to ${months.at(-1)}: invoice lines of customers of a UK shop, cancellations included.\n`,
);
for (const [at, month] of months.entries()) {
  const step = (what: string) =>
    progress.show(`[${String(at + 1).padStart(2)}/${months.length}] ${month}: ${what}`);
  step('sales arrive');
  await lake.run(`ATTACH '${warehousePath.replaceAll("'", "''")}' AS warehouse`);
  await lake.run('USE warehouse');
  const events = await addMonth(lake, month);
  await lake.run('USE memory');
  await lake.run('DETACH warehouse');
  step('ingest and fold');
  await pipeline.ingest();
  await foldStep(pipeline, { trigger: `demo:${month}` });
  step('refit');
  const version = await refitStep(pipeline, { trigger: `demo:${month}` });
  step('evaluate on the next month');
  const next = months[at + 1];
  const quality =
    next === undefined ? undefined : await pipeline.evaluate(await firstPurchases(lake, next), k, version);
  const popularity = next === undefined ? undefined : await bestSellers(lake, next);
  step('publish');
  await publishStep(pipeline, { trigger: `demo:${month}` }, { version });
  rows.push({ month, events, interactions: (await store.counts()).interactions, quality, popularity });
}
progress.show('verifying the Gramian');
const verified = await pipeline.verify();
progress.clear();

say(
  'How the recommendations of each monthly model did on what customers bought for the first time afterwards:\n',
);
report(rows);
await examples(pipeline, lake);
const { version, parameters } = await pipeline.manifestOf();
const at = (path: string): string => relative(process.cwd(), path) || '.';
say(
  `\nThe incremental Gramian differs from a recomputed one in ${verified.differing} of ${verified.entries.toLocaleString('en-US')} entries.`,
);
say(`\nWhere things lie:
  state            ${at(pipeline.parts.directory)}/state.duckdb and gramian/
  newest model     ${at(pipeline.weightsPath(version))} (${parameters.toLocaleString('en-US')} parameters)
  lists            ${at(join(directory, 'feeds', version))}/users.ndjson and items.ndjson
  key-value store  ${at(join(directory, 'feeds.lmdb'))}
Look around:  DEMO_DIRECTORY=${at(directory)} npx sansa-stream status -c examples/online-retail/pipeline.yaml`);
await pipeline.close();
lake.closeSync();
lakeInstance.closeSync();
say(`\nDone in ${((performance.now() - started) / 1000).toFixed(1)} s.`);
