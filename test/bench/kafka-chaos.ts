/**
 * Exactly once, shown with faults: shards and a standby take a topic into their states while processes are killed and
 * the broker is bounced. Afterwards each state is compared with what the topic holds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { type Broker, startBroker } from '../support/broker.js';
import { cli, runCli } from './environment.js';
import { client, collect, contents, gramianOf, itemOf, items, perUser, userOf } from './kafka-oracle.js';

const shards = 3;
const partitions = 8;

/** One kind of run. */
export interface ChaosOptions {
  readonly rounds: number;
  /** Events of a round, and the seconds over which they are produced while faults happen. */
  readonly events: number;
  readonly seconds: number;
  /** Kills of a round at least: production waits for them. */
  readonly kills: number;
  readonly random: () => number;
  readonly log: (line: string) => void;
}

/** What all rounds came to. */
export interface ChaosResult {
  rounds: number;
  /** Records in the topics. */
  produced: number;
  /** Events in the states' histories. */
  applied: number;
  /** Records that are in no history, and events that are there once too often. */
  lost: number;
  duplicated: number;
  /** Entries that `verify` found to differ, and entries of the summed Gramian that differ from one of all records. */
  verifyDiffering: number;
  gramianDiffering: number;
  kills: number;
  bounces: number;
}

/** Calls `body` until it succeeds: the broker comes and goes. */
async function insist<T>(body: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + 120_000; ; await sleep(300)) {
    try {
      return await body();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/** A process of `run` that is started again whenever it is killed. */
function supervised(config: string, log: string, random: () => number, failed: (error: Error) => void) {
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

/** Produces the events over the seconds, in an order that mixes users, and again whatever was not acknowledged. */
async function produce(
  broker: Broker,
  topic: string,
  { events, seconds, kills }: ChaosOptions,
  killed: () => number,
): Promise<void> {
  const producer = client(broker).producer();
  await insist(() => producer.connect());
  const size = Math.max(1, Math.round(events / (seconds * 4)));
  const stride = 7919; // a prime that divides no number of events used
  const started = Date.now();
  for (let from = 0; from < events; from += size) {
    const messages = Array.from({ length: Math.min(size, events - from) }, (_, k) => {
      const n = ((from + k) * stride) % events;
      return {
        key: `u${userOf(n)}`,
        value: JSON.stringify({ user: `u${userOf(n)}`, item: `i${itemOf(n)}`, n }),
      };
    });
    await insist(() => producer.send({ topic, messages, acks: -1 }));
    await sleep(Math.max(0, started + (1000 * seconds * (from + size)) / events - Date.now()));
    // A slow machine gets the faults it is due.
    for (const until = Date.now() + 60_000; killed() < (kills * from) / events; await sleep(50))
      if (Date.now() > until)
        throw new Error(`${topic}: no process came to the point of being killed for a minute`);
  }
  await producer.disconnect();
}

/** Whether the group has taken everything. */
async function caughtUp(admin: Admin, topic: string, group: string): Promise<boolean> {
  const ends = await admin.fetchTopicOffsets(topic);
  const [taken] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  const at = new Map(taken!.partitions.map(p => [p.partition, Number(p.offset)]));
  return ends.every(({ partition, high }) => at.get(partition) === Number(high));
}

/** Writes the configuration of one shard. */
function configure(directory: string, broker: Broker, topic: string, shard: number): string {
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

async function round(
  broker: Broker,
  name: string,
  options: ChaosOptions,
  result: ChaosResult,
): Promise<void> {
  const { events, seconds, random, log } = options;
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-chaos-'));
  const logs = join(directory, 'logs');
  mkdirSync(logs);
  const admin = client(broker).admin();
  await insist(() => admin.connect());
  await admin.createTopics({ topics: [{ topic: name, numPartitions: partitions }] });
  const configs = Array.from({ length: shards }, (_, s) => configure(directory, broker, name, s));
  let failure: Error | undefined;
  // The first shard has a standby.
  const processes = [...configs, configs[0]!].map((config, k) =>
    supervised(config, join(logs, `${k}.log`), random, error => {
      failure ??= error;
    }),
  );
  try {
    let producing = true;
    const before = result.kills;
    const produced = produce(broker, name, options, () => {
      if (failure) throw failure;
      return result.kills - before;
    }).finally(() => {
      producing = false;
    });
    produced.catch(error => {
      failure ??= error as Error;
    });
    for (let bouncedAt = Date.now(); producing && !failure; ) {
      await sleep(200 + 1500 * random());
      if (Date.now() - bouncedAt > 12_000 && random() < 0.5) {
        const how = random() < 0.5 ? 'hard' : 'clean';
        await broker.restart(how);
        bouncedAt = Date.now();
        result.bounces++;
        log(`${name}: broker bounced (${how})`);
      } else if (processes[Math.floor(random() * processes.length)]!.kill()) {
        result.kills++;
      }
    }
    await produced;
    for (const until = Date.now() + 90_000; !failure; await sleep(300)) {
      if (await caughtUp(admin, name, name).catch(() => false)) break;
      if (Date.now() > until) throw new Error(`${name}: the shards did not catch up; see ${logs}`);
    }
    if (failure) throw failure;
    await Promise.all(processes.map(p => p.stop()));
    const applied = new Uint8Array(events);
    const sum = new Float64Array(items * items);
    for (const config of configs) {
      runCli(['fold', '-c', config]);
      result.verifyDiffering += runCli(['verify', '-c', config]).differing as number;
      await collect(config, applied, sum);
    }
    const counts = await contents(broker, name, events);
    for (let n = 0; n < events; n++) {
      const [is, should] = [applied[n]!, counts[n]!];
      result.produced += should;
      result.applied += is;
      result.lost += Math.max(0, should - is);
      result.duplicated += Math.max(0, is - should);
    }
    const expected = gramianOf(counts);
    for (let e = 0; e < sum.length; e++) if (sum[e] !== expected[e]) result.gramianDiffering++;
    result.rounds++;
    log(`${name}: ${seconds} s, so far ${JSON.stringify(result)}`);
    rmSync(directory, { recursive: true });
  } finally {
    await Promise.all(processes.map(p => p.stop()));
    await admin.disconnect().catch(() => undefined);
  }
}

/** Runs the rounds against a broker of their own. Throws when a process ends by itself or never catches up. */
export async function kafkaChaos(options: ChaosOptions): Promise<ChaosResult> {
  const result: ChaosResult = {
    rounds: 0,
    produced: 0,
    applied: 0,
    lost: 0,
    duplicated: 0,
    verifyDiffering: 0,
    gramianDiffering: 0,
    kills: 0,
    bounces: 0,
  };
  if (options.events % perUser !== 0) throw new Error(`expected a number of events divisible by ${perUser}`);
  const broker = await startBroker({ own: true, heapMiB: 512 });
  try {
    for (let k = 0; k < options.rounds; k++) await round(broker, `chaos-${k}`, options, result);
    return result;
  } finally {
    await broker.stop();
  }
}
