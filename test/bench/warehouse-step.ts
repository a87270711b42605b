/**
 * `warehouse-step.js open|stage|bare CONFIG FILE`: opens the pipeline and does nothing, takes in and folds its source, or
 * does the same with DuckDB alone in the database FILE. Prints seconds and the most memory that the process had.
 */
import { readFileSync } from 'node:fs';
import { openDatabase } from '../../connectors/duckdb/database.js';
import { loadConfig } from '../../jobs/config.js';
import { openPipeline } from '../../jobs/open.js';

const [step, config = '', file = ''] = process.argv.slice(2);
const loaded = loadConfig(config);

/** Seconds of the clock and of the processors. */
async function seconds(body: () => Promise<unknown>): Promise<{ seconds: number; cpuSeconds: number }> {
  const [started, before] = [performance.now(), process.cpuUsage()];
  await body();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - started) / 1000, cpuSeconds: (user + system) / 1e6 };
}

/** The pipeline: history into the inbox, and the inbox into the state. */
async function stage() {
  const pipeline = await openPipeline(loaded);
  try {
    const inbox = await seconds(() => pipeline.ingest());
    return { inbox, fold: await seconds(() => pipeline.fold()) };
  } finally {
    await pipeline.close();
  }
}

/** The same columns into the same kind of table; keys by first event, and pairs with their newest time. */
async function bare() {
  const { query } = loaded.config.sources[0] as { query: string };
  const { memoryLimit } = loaded.config.database;
  const database = await openDatabase(file, { memoryLimit, tempDirectory: `${file}.tmp` });
  const connection = await database.connect();
  const key = (column: string) =>
    `SELECT row_number() OVER (ORDER BY first) - 1 AS id, key FROM (SELECT ${column} AS key, min(seq) AS first FROM inbox GROUP BY 1)`;
  await connection.run(`CREATE TABLE inbox (seq BIGINT, channel INTEGER, sequence BIGINT, "user" VARCHAR, item VARCHAR,
    weight INTEGER, op UTINYINT, ts BIGINT, id VARCHAR)`);
  const inbox = await seconds(() =>
    connection.run(`INSERT INTO inbox SELECT ts, 0, ts, "user", item, 1, 0, ts, NULL FROM (${query})`),
  );
  const fold = await seconds(async () => {
    await connection.run(`CREATE TABLE users AS ${key('"user"')}`);
    await connection.run(`CREATE TABLE items AS ${key('item')}`);
    await connection.run(`CREATE TABLE interactions AS
      SELECT u.id::INTEGER AS "user", i.id::INTEGER AS item, max(weight) AS value, max(ts) AS ts
      FROM inbox JOIN users u ON u.key = inbox."user" JOIN items i ON i.key = inbox.item GROUP BY ALL`);
  });
  connection.closeSync();
  database.closeSync();
  return { inbox, fold };
}

const steps: Readonly<Record<string, () => Promise<object>>> = {
  stage,
  bare,
  open: async () => {
    await (await openPipeline(loaded)).close();
    return {};
  },
};
const measured = await steps[step!]!();
const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))!;
process.stdout.write(JSON.stringify({ ...measured, peakRssBytes: Number(kilobytes) * 1024 }));
