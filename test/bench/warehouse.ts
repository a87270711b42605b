import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { literal, openDatabase, scalar } from '../../connectors/duckdb/database.js';
import { type BenchOptions, median } from './environment.js';

const memory = '2GiB';
const items = 100_000;

interface Times {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

interface Step {
  readonly inbox: Times;
  readonly fold: Times;
  readonly peakRssBytes: number;
}

function runStep(step: 'open' | 'stage' | 'bare', config: string, file: string): Step {
  const script = fileURLToPath(new URL('warehouse-step.js', import.meta.url));
  const stdio: ('ignore' | 'pipe' | 'inherit')[] = ['ignore', 'pipe', 'inherit'];
  return JSON.parse(
    execFileSync(process.execPath, [script, step, config, file], { encoding: 'utf8', stdio }),
  ) as Step;
}

async function query(sql: string): Promise<unknown> {
  const database = await openDatabase(':memory:', {
    memoryLimit: '1GB',
    tempDirectory: join(tmpdir(), 'spills'),
  });
  const connection = await database.connect();
  try {
    return await scalar(connection, sql);
  } finally {
    connection.closeSync();
    database.closeSync();
  }
}

/** Events of skewed users and items, by time. */
const generate = (file: string, rows: number) =>
  query(`COPY (SELECT 'user-' || (${rows / 20} * (hash(range)::DOUBLE / 2.0 ** 64) ** 1.5)::INTEGER % ${Math.ceil(rows / 20)} AS "user",
      'item-' || (${items} * (hash(range + 0.5)::DOUBLE / 2.0 ** 64) ** 2)::INTEGER % ${items} AS item,
      1_600_000_000_000 + 1000 * range AS ts
    FROM range(${rows})) TO ${literal(file)} (FORMAT parquet)`);

/** Users whose items in a folded state are not those of the file; by hashes, since DuckDB cannot spill texts. */
async function differing(state: string, file: string): Promise<number> {
  const database = await openDatabase(join(state, 'state.duckdb'), { memoryLimit: '2GB' }, true);
  const connection = await database.connect();
  const sums = (pairs: string) =>
    `SELECT "user", count(*) AS pairs, sum(item) AS items FROM (SELECT DISTINCT ${pairs}) GROUP BY "user"`;
  try {
    return Number(
      await scalar(
        connection,
        `SELECT count(*) FROM (${sums(`hash("user") AS "user", hash(item) AS item FROM ${literal(file)}`)}) a
         FULL JOIN (${sums('hash(u.key) AS "user", hash(i.key) AS item FROM matrix m JOIN users u ON u.id = m."user" JOIN items i ON i.id = m.item')}) b
           USING ("user") WHERE a.pairs IS DISTINCT FROM b.pairs OR a.items IS DISTINCT FROM b.items`,
      ),
    );
  } finally {
    connection.closeSync();
    database.closeSync();
  }
}

/** History from Parquet into inbox and state, beside DuckDB alone doing the same in turn. */
export async function benchWarehouse({ rows: given, runs, log }: BenchOptions): Promise<object> {
  const rows = given?.[0] ?? 5_000_000;
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-warehouse-'));
  const file = join(directory, 'events.parquet');
  const config = join(directory, 'pipeline.json');
  const state = join(directory, 'state');
  const settings = {
    memory,
    state,
    database: { memoryLimit: '512MiB' },
    sources: [{ type: 'duckdb', query: `SELECT * FROM ${literal(file)}` }],
    gramian: { mode: 'implicit' },
  };
  const measured: {
    readonly stage: Step;
    readonly bare: Step;
    readonly base: number;
    readonly verifyDiffering: number;
  }[] = [];
  try {
    await generate(file, rows);
    writeFileSync(config, JSON.stringify(settings));
    for (let run = 0; run < runs; run++) {
      const base = runStep('open', config, '').peakRssBytes;
      const bare = runStep('bare', config, join(directory, `bare-${run}.duckdb`));
      const stage = runStep('stage', config, '');
      measured.push({ stage, bare, base, verifyDiffering: await differing(state, file) });
      rmSync(state, { recursive: true });
      rmSync(join(directory, `bare-${run}.duckdb`));
      log(
        `${rows} rows: inbox ${stage.inbox.seconds.toFixed(1)} s (bare ${bare.inbox.seconds.toFixed(1)}), fold ${stage.fold.seconds.toFixed(1)} s (bare ${bare.fold.seconds.toFixed(1)}), peak ${Math.round(stage.peakRssBytes / 2 ** 20)} MiB`,
      );
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  const of = (value: (m: (typeof measured)[number]) => number) => median(measured.map(value));
  return {
    rows,
    memory,
    inboxRowsPerSecond: of(m => rows / m.stage.inbox.seconds),
    foldRowsPerSecond: of(m => rows / m.stage.fold.seconds),
    ratioToBareInsert: of(m => m.bare.inbox.seconds / m.stage.inbox.seconds),
    ratioToBareFold: of(m => m.bare.fold.seconds / m.stage.fold.seconds),
    cpuRatioToBareInsert: of(m => m.bare.inbox.cpuSeconds / m.stage.inbox.cpuSeconds),
    cpuRatioToBareFold: of(m => m.bare.fold.cpuSeconds / m.stage.fold.cpuSeconds),
    peakRssBytes: Math.max(...measured.map(m => m.stage.peakRssBytes)),
    baseRssBytes: of(m => m.base),
    verifyDiffering: Math.max(...measured.map(m => m.verifyDiffering)),
    measured,
  };
}
