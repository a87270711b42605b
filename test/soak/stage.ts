/** A stage under a constant load, for the soak and the benchmark of polling. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRunning } from '../../jobs/control/client.js';
import { socketOf } from '../../jobs/control/socket-path.js';
import type { PipelineOptions } from '../../jobs/index.js';
import { cli } from '../bench/environment.js';
import { missingOwn, startRedis } from '../support/redis.js';
import { expectedPairs, kafkaLoad, warehouseLoad } from './load.js';

export interface StageOptions {
  readonly source: 'kafka' | 'warehouse';
  /** Events a second. */
  readonly rate: number;
  /** Pause between two batches of the load. */
  readonly beatMs?: number;
  readonly schedule: NonNullable<PipelineOptions['schedule']>;
}

interface LogLine {
  readonly msg: string;
  readonly commitSeconds?: number;
}

export interface Sample {
  /** Seconds since the start. */
  readonly at: number;
  readonly rssBytes: number;
  readonly lagSeconds: number;
}

/** Starts a stage and its load; `close` ends both. */
export async function loadedStage({ source, rate, beatMs = 250, schedule }: StageOptions) {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-soak-'));
  const load = await (source === 'kafka' ? kafkaLoad() : warehouseLoad(directory));
  const redis = missingOwn === undefined ? await startRedis() : undefined;
  const config = join(directory, 'pipeline.yaml');
  const options: PipelineOptions = {
    state: 'state',
    semantics: { interactions: 'sum', weightScale: 1 },
    sources: [load.source],
    sinks: [redis ? { type: 'redis', url: redis.url } : { type: 'lmdb', path: 'feeds.lmdb' }],
    fit: { density: 0.3, l2: 5 },
    memory: '512MB',
    http: { listen: '127.0.0.1:0' },
    log: { level: 'debug' },
    schedule: { pollMs: 100, ...schedule },
  };
  writeFileSync(config, JSON.stringify(options));
  const child = spawn(process.execPath, [cli, 'run', '-c', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const lines: string[] = [];
  let rest = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    const all = (rest + part).split('\n');
    rest = all.pop()!;
    lines.push(...all);
  });
  /** Lines of the log from line `from` on. Throws for one that is no JSON. */
  const log = (from = 0): LogLine[] => lines.slice(from).map(line => JSON.parse(line) as LogLine);
  const url = await listening(child, log);
  const socket = async () => connectRunning(socketOf(join(directory, 'state'))!);
  let brought = 0;
  const stop = new AbortController();
  const started = performance.now();
  const bringing = (async () => {
    while (!stop.signal.aborted) {
      const due = Math.floor(((performance.now() - started) / 1000) * rate) - brought;
      if (due > 0) await load.bring(brought, due);
      brought += Math.max(0, due);
      await sleep(beatMs);
    }
  })();

  const metricsText = async () => (await fetch(`${url}/metrics`)).text();
  const ask = async (operation: string, parameters: object = {}) => {
    const running = await socket();
    if (!running) throw new Error('the stage does not answer');
    return running.ask({ operation, parameters }, () => undefined, undefined);
  };
  return {
    child,
    ask,
    metricsText,
    lineCount: () => lines.length,
    log,
    async sample(): Promise<Sample> {
      const values = valuesOf(await metricsText());
      const of = (name: string) => values.filter(v => v.name === name).map(v => v.value);
      const behind = of('sansa_stream_source_lag_seconds');
      const sinceEnd = of('sansa_stream_source_caught_up_timestamp_seconds').map(t => Date.now() / 1000 - t);
      return {
        at: (performance.now() - started) / 1000,
        rssBytes: of('process_resident_memory_bytes')[0] ?? 0,
        lagSeconds: Math.max(0, ...(behind.length > 0 ? behind : sinceEnd)),
      };
    },
    /** Ends the load, waits until everything is folded, and compares X with what was brought. */
    async settle() {
      stop.abort();
      await bringing;
      for (const until = Date.now() + 120_000; Date.now() < until; await sleep(500)) {
        await ask('fold');
        const { folded } = (await ask('status')) as { folded: number };
        if (folded >= brought) break;
      }
      const found = (await ask('sql', {
        sql: 'SELECT "user", item, weight FROM interactions',
        rows: 10_000,
      })) as {
        rows: [string, string, number][];
      };
      const expected = expectedPairs(brought);
      let [lost, duplicated] = [0, 0];
      for (const [user, item, weight] of found.rows) {
        const key = `${user} ${item}`;
        const more = Number(weight) - (expected.get(key) ?? 0);
        expected.delete(key);
        duplicated += Math.max(0, more);
        lost += Math.max(0, -more);
      }
      for (const missing of expected.values()) lost += missing;
      return { events: brought, lost, duplicated };
    },
    async close() {
      stop.abort();
      await bringing.catch(() => undefined);
      child.kill('SIGTERM');
      await ended;
      await load.close();
      await redis?.remove();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
export type LoadedStage = Awaited<ReturnType<typeof loadedStage>>;

/** Waits until the stage listens; returns its address. */
async function listening(child: { readonly exitCode: number | null }, log: () => LogLine[]): Promise<string> {
  for (;;) {
    const found = log().find(line => line.msg === 'HTTP listened') as { port?: number } | undefined;
    if (found && log().some(line => line.msg === 'started')) return `http://127.0.0.1:${found.port}`;
    if (child.exitCode !== null) throw new Error(`the stage ended with ${child.exitCode}`);
    await sleep(100);
  }
}

/** Names and values in a text of metrics. */
const valuesOf = (text: string): { readonly name: string; readonly value: number }[] =>
  text
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'))
    .map(line => ({ name: line.split(/[{ ]/, 1)[0]!, value: Number(line.slice(line.lastIndexOf(' ') + 1)) }));

/** The least value that `share` of the values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Milliseconds of the commits in lines of the log. */
export const commitsOf = (lines: readonly LogLine[]): number[] =>
  lines.filter(l => l.msg === 'batch ingested').map(l => 1000 * l.commitSeconds!);
