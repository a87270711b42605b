import type * as PromClient from 'prom-client';
import { required } from '../../src/runtime/require.js';
import { parseSize } from '../../src/size.js';
import type { Health } from '../health.js';
import type { Observer } from '../observe.js';
import type { ResultOf } from '../operations/index.js';
import { type Host, perform } from '../operations/perform.js';

const { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } = required(
  'prom-client',
) as typeof PromClient;

type Status = ResultOf<'status'>;

/** Bounds of buckets in seconds: of batches, which take milliseconds, and of jobs, which take up to hours. */
const batchBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const jobBuckets = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600];

/** A stage that has its state. */
export interface OpenStage {
  readonly host: Host;
  readonly health: Health;
}

/** The metrics of a running stage, by the names of OpenMetrics: base units, `_total` on what only grows. */
export interface StageMetrics {
  readonly observer: Observer;
  /** Gives the metrics the stage to ask, or takes it away. */
  attach(stage: OpenStage | undefined): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/** Makes metrics that say `standby` until they are attached to a stage. */
export function createMetrics(): StageMetrics {
  const registry = new Registry<PromClient.OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  collectDefaultMetrics({ register: registry as unknown as PromClient.Registry });
  const flow = flowMetrics(registry);
  const state = stateMetrics(registry);
  let stage: OpenStage | undefined;
  return {
    observer: flow,
    attach(next) {
      stage = next;
    },
    contentType: registry.contentType,
    async text() {
      const open = stage;
      const status = open && ((await perform(open.host, 'status', {})) as Status);
      state(open, status);
      return registry.metrics();
    },
  };
}

type Registers = PromClient.Registry<PromClient.OpenMetricsContentType>;

const named =
  (registry: Registers) =>
  <L extends string>(name: string, help: string, labelNames: readonly L[] = []) => ({
    name: `sansa_stream_${name}`,
    help,
    labelNames,
    registers: [registry as unknown as PromClient.Registry],
  });

/** Metrics of what passes through: they are counted as it passes. */
function flowMetrics(registry: Registers): Observer {
  const of = named(registry);
  const records = new Counter(of('source_records_total', 'Records read.', ['source']));
  const events = new Counter(of('source_events_total', 'Events taken into the inbox.', ['source']));
  const skipped = new Counter(
    of('source_skipped_records_total', 'Records that had been taken before.', ['source']),
  );
  const dead = new Counter(
    of('dead_letters_total', 'Records that could not become events.', ['source', 'code']),
  );
  const last = new Gauge(
    of('source_last_batch_timestamp_seconds', 'When the last batch was taken in.', ['source']),
  );
  const read = new Gauge(
    of('source_caught_up_timestamp_seconds', 'When the source was last read to its end.', ['source']),
  );
  const commits = new Histogram({
    ...of('batch_commit_seconds', 'Time that the state takes to store a batch.', ['source']),
    buckets: batchBuckets,
  });
  const jobs = new Histogram({
    ...of('job_duration_seconds', 'Duration of runs of jobs by how they ended.', ['job', 'outcome']),
    buckets: jobBuckets,
  });
  const written = new Counter(of('sink_lists_written_total', 'Lists that were written.', ['sink']));
  const kept = new Counter(of('sink_lists_kept_total', 'Lists that were there already.', ['sink']));
  return {
    batch(source, batch) {
      records.inc({ source }, batch.read);
      events.inc({ source }, batch.events);
      skipped.inc({ source }, Math.max(0, batch.read - batch.events - batch.deadLetters));
      for (const [code, n] of Object.entries(batch.codes)) dead.inc({ source, code }, n);
      last.set({ source }, Date.now() / 1000);
      commits.observe({ source }, batch.commitSeconds);
    },
    caughtUp: source => read.set({ source }, Date.now() / 1000),
    run: ({ name: job }, _, { kind: outcome }, seconds) => jobs.observe({ job, outcome }, seconds),
    sink(sink, summary) {
      written.inc({ sink }, summary.written);
      kept.inc({ sink }, summary.kept);
    },
  };
}

/** Metrics of what is there: they are set when somebody asks. */
function stateMetrics(
  registry: Registers,
): (stage: OpenStage | undefined, status: Status | undefined) => void {
  const of = named(registry);
  const gauge = <L extends string>(name: string, help: string, labels: readonly L[] = []) => {
    const made = new Gauge(of(name, help, labels));
    // Without labels it begins as 0, which would be a value that nobody has found.
    if (labels.length === 0) made.remove();
    return made;
  };
  const active = gauge('active', '1 while this process has the state, 0 while it stands by.');
  const folded = gauge('folded_events', 'Events folded since the state was made.');
  const repeated = gauge('repeated_events', 'Folded events that had come before.');
  const inbox = gauge('inbox_events', 'Events that wait for a fold.');
  const letters = gauge('dead_letters_kept', 'Dead letters that the state keeps.', ['source', 'code']);
  const size = gauge('matrix_size', 'Users, items and interactions.', ['of']);
  const segments = gauge('gramian_segments', 'Segments of the stored Gramian.');
  const bytes = gauge('state_bytes', 'Bytes on disk.', ['of']);
  const budget = gauge('memory_budget_bytes', 'The declared memory.');
  const newest = gauge('newest_event_timestamp_seconds', 'The latest time of an event.');
  const up = gauge('up', '1 if the system behind a source or a sink answers.', ['kind', 'name']);
  const lagEvents = gauge('source_lag_events', 'Records not taken in yet.', ['source', 'partition']);
  const lagSeconds = gauge('source_lag_seconds', 'Time since nothing was left to take in.', [
    'source',
    'partition',
  ]);
  const models = gauge('models', 'Models of the state.');
  const created = gauge('model_created_timestamp_seconds', 'When a model was made.', ['model']);
  const quality = gauge('model_quality', 'What the gate measured.', ['model', 'metric', 'k']);
  const passed = gauge('gate_passed', '1 if the gate lets the newest model pass, 0 if it holds it back.');
  const lastRun = gauge('job_last_success_timestamp_seconds', 'When a run last ended well.', ['job']);
  const next = gauge('job_next_timestamp_seconds', 'When a job is due next.', ['job']);
  active.set(0);

  return (stage, status) => {
    active.set(stage ? 1 : 0);
    if (!stage || !status) return;
    const { host, health } = stage;
    folded.set(status.folded);
    repeated.set(status.repeated);
    inbox.set(status.inbox);
    letters.reset();
    for (const { source, code, count } of status.deadLetterCodes) letters.set({ source, code }, count);
    for (const of of ['users', 'items', 'interactions'] as const) size.set({ of }, status[of]);
    segments.set(status.gramian.segments);
    bytes.set({ of: 'gramian' }, status.gramian.bytes);
    bytes.set({ of: 'database' }, status.databaseBytes);
    budget.set(parseSize(host.pipeline.config.memory, 'memory'));
    if (status.newestEvent !== undefined) newest.set(status.newestEvent / 1000);
    for (const { kind, name, problem } of health.parts) up.set({ kind, name }, problem === undefined ? 1 : 0);
    for (const { source, partition, events, seconds } of health.lags) {
      lagEvents.set({ source, partition }, events);
      lagSeconds.set({ source, partition }, seconds);
    }
    models.set(status.models.length);
    for (const g of [created, quality]) g.reset();
    for (const [model, about] of Object.entries({
      newest: status.newest,
      published: status.publishedModel,
    })) {
      if (!about) continue;
      created.set({ model }, about.createdAt / 1000);
      for (const [metric, value] of Object.entries(about.quality))
        quality.set({ model, metric, k: String(about.k) }, value);
    }
    passed.remove();
    if (status.gate) passed.set(status.gate.passed ? 1 : 0);
    for (const { job, last, next: due } of status.jobs) {
      if (last?.status === 'done') lastRun.set({ job }, (last.finishedAt ?? last.startedAt) / 1000);
      if (due !== undefined) next.set({ job }, due / 1000);
    }
  };
}
