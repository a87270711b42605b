/**
 * Exactly once, shown with faults: shards and a standby take a topic into their states while processes are killed and
 * the broker is bounced. Afterwards each state is compared with what the topic holds.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { type Broker, startBroker } from '../support/broker.js';
import { runCli } from './environment.js';
import { type ChaosOptions, insist, produce } from './kafka-chaos-load.js';
import { configureShard, superviseRun } from './kafka-chaos-shards.js';
import { client, collect, contents, gramianOf, items, perUser } from './kafka-oracle.js';

const shards = 3;
const partitions = 8;

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

/** Whether the group has taken everything. */
async function caughtUp(admin: Admin, topic: string, group: string): Promise<boolean> {
  const ends = await admin.fetchTopicOffsets(topic);
  const [taken] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  const at = new Map(taken!.partitions.map(p => [p.partition, Number(p.offset)]));
  return ends.every(({ partition, high }) => at.get(partition) === Number(high));
}

/** Folds and verifies each state, and compares all of them with what the topic holds. */
async function compare(
  broker: Broker,
  name: string,
  events: number,
  configs: readonly string[],
  result: ChaosResult,
): Promise<void> {
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
  const configs = Array.from({ length: shards }, (_, s) =>
    configureShard(directory, broker, name, s, shards),
  );
  let failure: Error | undefined;
  // The first shard has a standby.
  const processes = [...configs, configs[0]!].map((config, k) =>
    superviseRun(config, join(logs, `${k}.log`), random, error => {
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
    await compare(broker, name, events, configs, result);
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
