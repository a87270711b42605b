/** The shards of a chaos run: their configurations, and their processes under a supervisor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Broker } from '../support/broker.js';
import { cli } from './environment.js';

/** Writes the configuration of one shard. */
export function configureShard(
  directory: string,
  broker: Broker,
  topic: string,
  shard: number,
  shards: number,
): string {
  const config = join(directory, `shard-${shard}.yaml`);
  const settings = {
    state: `./state-${shard}`,
    semantics: { interactions: 'sum', weightScale: 1 },
    database: { memoryLimit: '256MB', threads: 1 },
    threads: 1,
    sources: [
      {
        type: 'kafka',
        brokers: broker.brokers,
        topics: [topic],
        group: topic,
        shard: `${shard}/${shards}`,
        sessionTimeoutMs: 6000,
        batch: { records: 20_000, waitMs: 100 },
      },
    ],
    gramian: { mode: 'stored' },
    log: { level: 'debug' },
    schedule: { pollMs: 200, fold: { cron: '*/2 * * * * *', events: 50_000 } },
  };
  writeFileSync(config, JSON.stringify(settings));
  return config;
}

/** A process of `run` that is started again whenever it is killed. */
export function superviseRun(
  config: string,
  log: string,
  random: () => number,
  failed: (error: Error) => void,
) {
  let child: ChildProcess | undefined;
  let stopping = false;
  let began = 0;

  function start(): void {
    const out = openSync(log, 'a');
    began = fstatSync(out).size;
    const started = spawn(process.execPath, [cli, 'run', '-c', config], { stdio: ['ignore', out, out] });
    closeSync(out);
    child = started;
    started.once('exit', (code, signal) => {
      if (stopping) return;
      if (signal === 'SIGKILL') setTimeout(() => stopping || start(), 1500 * random());
      else
        failed(
          new Error(
            `${config}: run ended with ${code ?? signal}:\n${readFileSync(log, 'utf8').slice(-3000)}`,
          ),
        );
    });
  }
  start();
  return {
    /** Kills it if it has done what it is here for since it began: taken records in, or stood by. */
    kill(): boolean {
      if (!/batch ingested|standing by/.test(readFileSync(log, 'utf8').slice(began))) return false;
      began = Number.MAX_SAFE_INTEGER;
      return child?.kill('SIGKILL') ?? false;
    },
    async stop() {
      stopping = true;
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
