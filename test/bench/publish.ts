import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type BenchOptions, dataSet, median, runCli } from './environment.js';
import { startRedis } from './redis-server.js';

/** A store to publish to: its settings, how it is emptied, and how it is left. */
interface Store {
  readonly sink: object;
  empty(): Promise<void>;
  remove(): Promise<void>;
}

async function redisStore(directory: string): Promise<Store> {
  const { url, own, send, stop } = await startRedis(directory);
  return {
    sink: { type: 'redis', url, graceMs: 0, prefix: 'bench' },
    // Other keys of somebody's server are theirs.
    empty: async () => void (own && (await send('FLUSHALL'))),
    remove: stop,
  };
}

function lmdbStore(directory: string): Store {
  const path = join(directory, 'feeds.lmdb');
  return {
    sink: { type: 'lmdb', path },
    empty: async () => rmSync(path, { recursive: true, force: true }),
    remove: async () => undefined,
  };
}

/** Adds users of generated histories, ten interactions each with the items there are, straight to the tables. */
async function generateUsers(state: string, users: number): Promise<void> {
  const instance = await DuckDBInstance.create(join(state, 'state.duckdb'), { memory_limit: '4GB' });
  const connection = await instance.connect();
  await connection.run(`INSERT INTO users
    SELECT (SELECT max(id) + 1 FROM users) + i, 'generated-' || i FROM range(${users} - (SELECT count(*) FROM users)) t(i)`);
  await connection.run(`INSERT INTO interactions
    SELECT DISTINCT id, (n * pow(hash(id, r) / 18446744073709551616.0, 2))::INTEGER % n, false, 1, 0, 0, 0
    FROM users, range(10) s(r), (SELECT count(*) AS n FROM items)
    WHERE id NOT IN (SELECT "user" FROM interactions)`);
  await connection.run('CHECKPOINT');
  connection.closeSync();
  instance.closeSync();
}

/**
 * All lists of a model, users' and items', from the state into a store: lists a second from the start of the
 * publication to its pointer, and the peak memory of the publishing process, which is the command line. Then the time
 * from the start of the command that rolls back to its end, with as many other lists published on top.
 */
export async function benchPublish({
  data,
  runs,
  log,
  sink = 'redis',
  users,
  k = 50,
}: BenchOptions): Promise<object> {
  const name = 'gowalla';
  const { train } = dataSet(data, name);
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-publish-'));
  const store = sink === 'lmdb' ? lmdbStore(directory) : await redisStore(directory);
  const config = join(directory, 'pipeline.json');
  const query = `SELECT "user", item FROM '${train.replaceAll("'", "''")}'`;
  const settings = {
    state: './state',
    sources: [{ type: 'duckdb', query }],
    gramian: { mode: 'implicit' },
    fit: { solver: 'fsai' },
    sinks: [store.sink],
  };
  try {
    const configure = (length: number, memoryLimit: string): void =>
      writeFileSync(
        config,
        JSON.stringify({ ...settings, publish: { k: length }, database: { memoryLimit } }),
      );
    configure(k, '64MiB');
    for (const command of ['ingest', 'fit']) runCli([command, '-c', config]);
    configure(k, '16MiB');
    if (users !== undefined) await generateUsers(join(directory, 'state'), users);
    const measured: Record<string, number>[] = [];
    for (let run = 0; run < runs; run++) {
      await store.empty();
      const summary = runCli(['publish', '-c', config]) as Record<string, number>;
      measured.push(summary);
      const { listsPerSecond, peakRssBytes } = summary;
      log(`${sink}: ${listsPerSecond} lists/s, peak ${Math.round(peakRssBytes! / 2 ** 20)} MiB`);
    }
    configure(k - 1, '16MiB');
    const { version } = runCli(['publish', '-c', config]) as { readonly version: string };
    const rollbacks: number[] = [];
    for (let run = 0; run < runs; run++) {
      const started = performance.now();
      runCli(['rollback', '-c', config]);
      rollbacks.push((performance.now() - started) / 1000);
      runCli(['rollback', '-c', config, '--to', version]);
    }
    const rollbackSeconds = median(rollbacks);
    log(`${sink}: rolled back in ${rollbackSeconds.toFixed(2)} s`);
    const of = (field: string): number => median(measured.map(m => m[field]!));
    return {
      set: users === undefined ? name : `${name} and generated users`,
      sink,
      k,
      runs,
      users: of('users'),
      items: of('items'),
      listsPerSecond: of('listsPerSecond'),
      peakRssBytes: of('peakRssBytes'),
      rollbackSeconds,
      server: sink === 'redis' ? redisVersion() : undefined,
    };
  } finally {
    await store.remove();
    rmSync(directory, { recursive: true, force: true });
  }
}

function redisVersion(): string | undefined {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1];
  } catch {
    return undefined;
  }
}
