import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import type { BenchOptions } from './environment.js';

const mebibyte = 2 ** 20;
const budgets = [128, 512, 2048];
const steps = ['ingest', 'fold', 'fit', 'publish', 'run'] as const;

/** The line of a log that says that a service is done: everything was taken in, folded, fitted and published. */
const published = '"msg":"model published"';
/** In its log when a job failed. */
const failed = '"level":"error"';

/** Most memory of a process that opens the pipeline and then does a step, or nothing; and why the step failed, if it did. */
async function measure(step: (typeof steps)[number] | 'open', config: string) {
  const script = fileURLToPath(new URL('memory-step.js', import.meta.url));
  const child = spawn(process.execPath, [script, step, config], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  let stopped = false;
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
    if (step !== 'run' || stopped) return;
    stopped = errors.includes(published) || errors.includes(failed);
    if (stopped) child.kill('SIGTERM'); // a second one would not wait for the end
  });
  const ended = new Promise<number | null>(done => child.once('close', code => done(code)));
  const lines = (await text(child.stdout)).trimEnd();
  const peakRssBytes = Number(lines.slice(lines.lastIndexOf('\n') + 1));
  const well = (await ended) === 0 && (step !== 'run' || errors.includes(published));
  return { peakRssBytes, failure: well ? undefined : errors.trimEnd() };
}

/** Events in an order of their own, so that a source with a cursor must sort them. */
async function generateEvents(file: string, rows: number): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '1GB', threads: '2' });
  const connection = await instance.connect();
  await connection.run(`COPY (
    SELECT 'user-' || (hash(n) % 200000) AS "user", 'item-' || (hash(n * 7 + 1) % 20000) AS item, n,
      md5(n::VARCHAR) AS note
    FROM range(${rows}) rows(n) ORDER BY hash(n)) TO '${file.replaceAll("'", "''")}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
}

/**
 * What each step takes above a process that only opened the same state, under several budgets: ingest of a Parquet file
 * in the order of a cursor, fold, fit and publication, one after the other, and a service that does them all on a state
 * of its own. `ok` says that it was done within the budget.
 */
export async function benchMemory({ rows: given, log, sink = 'lmdb' }: BenchOptions): Promise<object> {
  const rows = given?.[0] ?? 2_500_000;
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-memory-'));
  const cells = [];
  try {
    await generateEvents(join(directory, 'events.parquet'), rows);
    for (const mib of budgets) {
      for (const step of steps) {
        const name = step === 'run' ? `${mib}-run` : String(mib);
        const config = join(directory, `${name}.json`);
        const settings = {
          memory: `${mib}MiB`,
          state: `./${name}`,
          sources: [{ type: 'duckdb', query: "SELECT * FROM 'events.parquet'", cursor: 'n' }],
          sinks: [sinkOptions(sink, `${directory}/${name}-lists`)],
          schedule: { fold: { cron: '* * * * * *' }, refit: { events: rows } },
        };
        writeFileSync(config, JSON.stringify(settings));
        const { peakRssBytes: baseRssBytes } = await measure('open', config);
        const { peakRssBytes, failure } = await measure(step, config);
        const aboveBaseBytes = peakRssBytes - baseRssBytes;
        const budgetBytes = mib * mebibyte;
        const ok = failure === undefined && aboveBaseBytes <= budgetBytes;
        cells.push({ budgetBytes, step, baseRssBytes, aboveBaseBytes, failure, ok });
        const [base, above] = [baseRssBytes, aboveBaseBytes].map(x => Math.round(x / mebibyte));
        log(`${mib} MiB, ${step}: ${above} MiB above ${base} MiB${failure ? `; ${failure}` : ''}`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  return { rows, sink, cells, ok: cells.every(cell => cell.ok) };
}

/** Where the lists go: `parquet` are files. */
function sinkOptions(sink: string, path: string): object {
  if (sink === 'duckdb') return { type: 'duckdb', database: `${path}.duckdb` };
  return sink === 'lmdb' ? { type: 'lmdb', path: `${path}.lmdb` } : { type: 'files', path, format: sink };
}
