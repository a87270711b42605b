/** Pipelines as users run them: a warehouse file, a configuration and processes of the command line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { afterAll } from 'vitest';
import { lmdbOptions } from '#connectors/lmdb/options.js';
import { createLmdbSink } from '#connectors/lmdb/sink.js';
import { loadConfig, openPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';

export { matrixOf } from './matrix.js';

const cli = fileURLToPath(new URL('../../dist/cli/cli.js', import.meta.url));

/** Processes that have not ended: a test that fails leaves some behind. */
const alive = new Set<ChildProcess>();
afterAll(() => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Asks again and again until `probe` returns something; throws when `seconds` are over. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { seconds = 30, everyMs = 20 } = {},
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`expected within ${seconds} s: ${what}`);
    await sleep(everyMs);
  }
}

/** A line of the log. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A process of the command line. */
export interface CliProcess {
  readonly child: ChildProcess;
  /** How it ended: exit code and signal. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  output(): string;
  /** Standard error so far; with the log in it. */
  errors(): string;
  log(): LogLine[];
  /** Waits for a line of the log. */
  logged(msg: string, matches?: (line: LogLine) => boolean): Promise<LogLine>;
}

/** Starts `sansa-stream ARGS`. */
export function startCli(args: readonly string[], env: NodeJS.ProcessEnv = {}): CliProcess {
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  alive.add(child);
  child.once('close', () => alive.delete(child));
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    output += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  const log = () =>
    errors
      .split('\n')
      .slice(0, -1)
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line) as LogLine);
  return {
    child,
    ended,
    output: () => output,
    errors: () => errors,
    log,
    logged: (msg, matches = () => true) =>
      until(`a log line ${JSON.stringify(msg)} in\n${errors}`, () => {
        if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode}:\n${errors}`);
        return log().find(line => line.msg === msg && matches(line));
      }),
  };
}

/** Asks a process to stop; returns how it ended and how long that took. */
export async function stopCli(p: CliProcess) {
  const started = Date.now();
  p.child.kill('SIGTERM');
  return { ...(await p.ended), seconds: (Date.now() - started) / 1000 };
}

/** Runs `body` on a DuckDB file, when no other process keeps it. */
export async function onDatabase<T>(
  path: string,
  mode: 'read' | 'write',
  body: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const instance = await until(`to open ${path}`, async () => {
    try {
      return await DuckDBInstance.create(path, mode === 'read' ? { access_mode: 'READ_ONLY' } : {});
    } catch (error) {
      if (/lock/i.test(String(error))) return undefined;
      throw error;
    }
  });
  const connection = await instance.connect();
  try {
    return await body(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** An interaction of the warehouse; without a user it is a dead letter. */
export interface Sale {
  readonly user: string | null;
  readonly item: string;
  readonly weight: number;
}

/** What a pipeline reads of a shop. */
export const salesSource = {
  type: 'duckdb' as const,
  name: 'sales',
  database: 'warehouse.duckdb',
  query: 'SELECT customer AS user, product AS item, weight, line FROM sales',
  cursor: 'line',
  batchSize: 40,
};

/** A directory with `warehouse.duckdb` (tables `sales` and `signals`) and `pipeline.yaml`. */
export function shop(directory: string) {
  const warehouse = join(directory, 'warehouse.duckdb');
  const config = join(directory, 'pipeline.yaml');
  const write = (sql: string) => onDatabase(warehouse, 'write', c => c.run(sql));
  const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`);
  let lines = 0;

  /** The rows of `signal_results`, in the order of their ids. */
  const results = (): Promise<{ id: string; status: string; version: string | null; message: string }[]> =>
    onDatabase(warehouse, 'read', async c => {
      const tables = await c.runAndReadAll("FROM duckdb_tables() WHERE table_name = 'signal_results'");
      if (tables.currentRowCount === 0) return [];
      const sql = 'SELECT id, status, version, message FROM signal_results ORDER BY id, finished_at';
      return (await c.runAndReadAll(sql)).getRowObjectsJS() as never;
    });

  return {
    directory,
    warehouse,
    config,
    results,

    /** Writes the configuration: sums, a stored Gramian, two sinks, and whatever `options` say. */
    configure(options: PipelineOptions): void {
      const settings: PipelineOptions = {
        state: './state',
        semantics: { interactions: 'sum', weightScale: 1 },
        database: { memoryLimit: '256MB', threads: 1 },
        sources: [salesSource],
        sinks: [
          { type: 'lmdb', path: 'feeds.lmdb' },
          { type: 'files', path: 'feeds' },
        ],
        signals: { type: 'duckdb', database: 'warehouse.duckdb', pollMs: 250 },
        gramian: { mode: 'stored' },
        fit: { density: 0.5, l2: 5 },
        publish: { k: 5 },
        log: { level: 'debug' },
        ...options,
        schedule: { pollMs: 100, ...options.schedule },
      };
      writeFileSync(config, JSON.stringify(settings));
    },

    create: () =>
      write(`CREATE TABLE sales (line INTEGER, customer VARCHAR, product VARCHAR, weight INTEGER);
        CREATE TABLE signals (id VARCHAR, type VARCHAR, options VARCHAR, requested_at TIMESTAMP DEFAULT make_timestamp(epoch_us(now())))`),

    sell(sales: readonly Sale[]) {
      const rows = sales.map(s => `(${lines++}, ${text(s.user)}, ${text(s.item)}, ${s.weight})`);
      return write(`INSERT INTO sales VALUES ${rows.join(', ')}`);
    },

    signal: (id: string, type: string, options: string | null = null) =>
      write(`INSERT INTO signals (id, type, options) VALUES (${text(id)}, ${text(type)}, ${text(options)})`),

    /** The results there are as soon as they are `count`, while `service` runs. */
    resultsOf: (service: CliProcess, count: number) =>
      until(
        `${count} results of signals`,
        async () => {
          if (service.child.exitCode !== null) throw new Error(`the service ended:\n${service.errors()}`);
          const found = await results();
          return found.length >= count && found;
        },
        { everyMs: 200 },
      ),

    run: (env?: NodeJS.ProcessEnv) => startCli(['run', '-c', config], env),

    /** Runs one command to its end. */
    async command(...args: readonly string[]) {
      const p = startCli([...args, '-c', config, '--json']);
      const { code } = await p.ended;
      return { code, json: JSON.parse(p.output()) as Record<string, unknown>, errors: p.errors() };
    },

    /** Opens the pipeline in this process. */
    async open<T>(body: (pipeline: Pipeline) => Promise<T>): Promise<T> {
      const pipeline = await openPipeline(loadConfig(config));
      try {
        return await body(pipeline);
      } finally {
        await pipeline.close();
      }
    },

    /** Names of the files under `state/<folder>`. */
    files: (folder: string) => readdirSync(join(directory, 'state', folder)).sort(),

    /** What the pointers of both sinks name; the files sink's version must be complete. */
    async published(): Promise<{ lmdb: string | undefined; files: string | undefined }> {
      const sink = createLmdbSink(lmdbOptions.parse({ type: 'lmdb', path: join(directory, 'feeds.lmdb') }));
      await sink.connect();
      const lmdb = await sink.current();
      await sink.close();
      const pointer = join(directory, 'feeds', 'current');
      const files = existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : undefined;
      return { lmdb, files };
    },
  };
}
export type Shop = ReturnType<typeof shop>;

/** X of `sales` under sums, as `user item` → value > 0. */
export function summed(sales: readonly Sale[]): Map<string, number> {
  const values = new Map<string, number>();
  for (const { user, item, weight } of sales) {
    if (user === null) continue;
    const key = `${user} ${item}`;
    values.set(key, (values.get(key) ?? 0) + weight);
  }
  return new Map([...values].filter(([, x]) => x > 0).sort());
}
