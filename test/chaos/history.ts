/**
 * A warehouse that has the past of a topic, a stage that takes it and goes on from the topic, and kills in between, while a
 * loader brings more of the topic into the warehouse. A second state reads the topic alone: both must hold the same.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { releaseResults } from '../../connectors/duckdb/database.js';
import { createPipeline, type Pipeline, type PipelineOptions } from '../../jobs/index.js';
import { client } from '../bench/kafka-oracle.js';
import { type Broker, startBroker } from '../support/broker.js';
import { matrixOf } from '../support/matrix.js';
import type { Random } from '../support/random.js';

const cli = fileURLToPath(new URL('../../cli/cli.js', import.meta.url));
const partitions = 3;
const batchSize = 250;
/** Times of events begin here; many of them are equal. */
const since = Date.UTC(2026, 0, 1);

interface Event {
  readonly partition: number;
  readonly offset: number;
  readonly user: string;
  readonly item: string;
  readonly weight: number;
  readonly op: 'add' | 'remove' | 'set';
  readonly ts: number;
  readonly id: string;
}

export interface HistoryChaosOptions {
  readonly kills: number;
  readonly events: number;
  readonly random: Random;
  readonly log: (line: string) => void;
}

export interface HistoryChaosResult {
  readonly events: number;
  readonly kills: number;
  /** How many of them came before the history was read. */
  readonly killsInHistory: number;
  /** Events of the topic that the warehouse had when the history was first read; the others came from the topic. */
  readonly inHistory: number;
  readonly repeated: number;
  /** Interactions that differ from those of the state that reads the topic alone. */
  readonly differing: number;
  readonly verifyDiffering: number;
}

/** Users of one partition each; some events come twice, with the same id and another offset. */
function makeEvents(count: number, random: Random): Event[] {
  const ends = new Array<number>(partitions).fill(0);
  const events: Event[] = [];
  const whole = (n: number) => Math.floor(random() * n);
  for (let k = 0; k < count; k++) {
    const again = k > 0 && random() < 0.05 ? events[Math.max(0, k - 1 - whole(count / 2))]! : undefined;
    const user = whole(300);
    const partition = again?.partition ?? user % partitions;
    const event = again ?? {
      user: `u${user}`,
      item: `i${whole(80)}`,
      weight: 1 + whole(4),
      op: random() < 0.8 ? 'add' : random() < 0.5 ? 'remove' : 'set',
      ts: since + 60_000 * whole(50),
      id: `e${k}`,
    };
    events.push({ ...event, partition, offset: ends[partition]!++ });
  }
  return events;
}

const message = ({ partition, offset: _, ...value }: Event) => ({ partition, value: JSON.stringify(value) });

/** Writes events into the table as another program would; waits while the stage has the file. */
async function load(path: string, events: readonly Event[]): Promise<void> {
  const file = `${path}.ndjson`;
  writeFileSync(file, events.map(e => JSON.stringify(e)).join('\n'));
  for (;;) {
    try {
      const instance = await DuckDBInstance.create(path);
      const connection = await instance.connect();
      await connection.run(`CREATE TABLE IF NOT EXISTS events ("user" VARCHAR, item VARCHAR, weight INTEGER,
        op VARCHAR, ts BIGINT, id VARCHAR, "partition" INTEGER, "offset" BIGINT)`);
      await connection.run(`INSERT INTO events BY NAME FROM read_json('${file}')`);
      connection.closeSync();
      instance.closeSync();
      await releaseResults(); // they would keep the file locked
      return;
    } catch (error) {
      if (!/lock/i.test(String(error))) throw error;
      await sleep(5);
    }
  }
}

/** What the state knows of the topic: how many rows of its history were taken, and whether that has ended. */
async function progress(state: string): Promise<{ readonly rows: number; readonly ended: boolean }> {
  if (!existsSync(join(state, 'state.duckdb'))) return { rows: 0, ended: false };
  const instance = await DuckDBInstance.create(join(state, 'state.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(
    "SELECT coalesce(max(sequence), -1) + 1, count(*) > 1 FROM positions WHERE source = 'kafka'",
  );
  const [rows, ended] = reader.getRowsJS()[0]!;
  connection.closeSync();
  instance.closeSync();
  await releaseResults();
  return { rows: Number(rows), ended: ended === true };
}

async function onState<T>(options: PipelineOptions, body: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const pipeline = await createPipeline(options);
  try {
    await pipeline.ingest();
    await pipeline.fold();
    return await body(pipeline);
  } finally {
    await pipeline.close();
  }
}

function optionsOf(
  broker: Broker,
  topic: string,
  directory: string,
  name: 'alone' | 'both',
): PipelineOptions {
  const kafka = {
    type: 'kafka' as const,
    brokers: [...broker.brokers],
    topics: [topic],
    group: `${topic}-${name}`,
    sessionTimeoutMs: 6000,
    batch: { records: 500, waitMs: 20 },
  };
  const history = {
    type: 'duckdb' as const,
    name: 'history',
    database: join(directory, 'warehouse.duckdb'),
    query: 'SELECT * FROM events',
    cursor: 'ts',
    batchSize,
  };
  const startAfter = { source: 'history', partition: 'partition', offset: 'offset' };
  return {
    state: join(directory, name),
    semantics: { interactions: 'sum', weightScale: 1 },
    gramian: { mode: 'stored' },
    sources: name === 'alone' ? [kafka] : [history, { ...kafka, startAfter }],
    schedule: { fold: { cron: '* * * * * *' } },
  };
}

/** Where the stage dies. */
const points = ['ingest:read', 'ingest:appended', 'ingest:committed', 'ingest:acknowledged'];
const longestMs = 30_000;

/** Runs the stage until it has passed a point so often, and dies there; at the latest after a while. */
async function runAndKill(config: string, point: string): Promise<void> {
  const env = { ...process.env, SANSA_STREAM_CRASH_AT: point };
  const child = spawn(process.execPath, [cli, 'run', '-c', config], { stdio: 'ignore', env });
  const timer = setTimeout(() => child.kill('SIGKILL'), longestMs);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(timer);
  if (signal !== 'SIGKILL')
    throw new Error(`expected the stage to be killed, found that it ended with ${code}`);
}

export async function chaosHistory(options: HistoryChaosOptions): Promise<HistoryChaosResult> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-history-'));
  const broker = await startBroker({ own: true });
  try {
    return await trial(broker, directory, options);
  } finally {
    await broker.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function trial(
  broker: Broker,
  directory: string,
  { kills, events: count, random, log }: HistoryChaosOptions,
): Promise<HistoryChaosResult> {
  const topic = 'interactions';
  const kafka = client(broker);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] });
  await admin.disconnect();
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const events = makeEvents(count, random);
  const warehouse = join(directory, 'warehouse.duckdb');
  const staged = optionsOf(broker, topic, directory, 'both');
  const state = join(directory, 'both');
  const config = join(directory, 'pipeline.json');
  writeFileSync(config, JSON.stringify(staged));

  let [produced, loaded] = [0, 0];
  const produceTo = async (n: number) => {
    for (; produced < n; produced += 5000)
      await producer.send({
        topic,
        messages: events.slice(produced, Math.min(n, produced + 5000)).map(message),
      });
    produced = n;
  };
  const loadTo = async (n: number) => {
    for (; loaded < n; loaded += 5000)
      await load(warehouse, events.slice(loaded, Math.min(n, loaded + 5000)));
    loaded = n;
  };
  await produceTo(Math.floor(count * 0.75));
  await loadTo(Math.floor(count * 0.7));
  const inHistory = loaded;

  let killsInHistory = 0;
  let [rows, ended] = [0, false];
  for (let k = 1; k <= kills; k++) {
    const share = k / kills;
    const feeding = produceTo(Math.floor(count * (0.75 + 0.25 * share))).then(() =>
      loadTo(Math.floor(count * (0.7 + 0.25 * share))),
    );
    const most = ended ? 2 : Math.ceil((3.5 * inHistory) / (batchSize * kills));
    const point = !ended && k % 7 === 0 ? 'history:read' : points[Math.floor(random() * points.length)]!;
    const passes = point.startsWith('history') ? 1 : 1 + Math.floor(random() * most);
    await runAndKill(config, `${point}#${passes}`);
    await feeding;
    if (!ended) killsInHistory++;
    ({ rows, ended } = await progress(state));
    log(
      `kill ${k} at ${point}#${passes}: ${ended ? 'the topic is read' : `${rows} rows of the history are read`}`,
    );
  }
  await producer.disconnect();
  const wanted = await onState(optionsOf(broker, topic, directory, 'alone'), matrixOf);
  return onState(staged, async pipeline => {
    const found = await matrixOf(pipeline);
    const keys = new Set([...wanted.keys(), ...found.keys()]);
    const differing = [...keys].filter(key => wanted.get(key) !== found.get(key)).length;
    const { repeated } = await pipeline.parts.store.counts();
    const { differing: verifyDiffering } = await pipeline.verify();
    return { events: count, kills, killsInHistory, inHistory, repeated, differing, verifyDiffering };
  });
}
