import type * as PromClient from 'prom-client';
import { required } from '../../src/runtime/require.js';
import { parseSize } from '../../src/size.js';
import { totalOf } from '../../src/stages/events.js';
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
  const gauges = stateGauges(registry);
  gauges.active.set(0);
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
      gauges.active.set(open ? 1 : 0);
      if (open && status) {
        setSizes(gauges, open, status);
        setHealth(gauges, open);
        setModels(gauges, status);
      }
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
  const mapped = new Counter(
    of('source_mapped_away_total', 'Records that a condition or a table of the mapping skips.', [
      'source',
      'reason',
    ]),
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
      for (const [reason, n] of Object.entries(batch.skipped ?? {})) mapped.inc({ source, reason }, n);
      const passed = totalOf(batch.skipped);
      skipped.inc({ source }, Math.max(0, batch.read - batch.events - batch.deadLetters - passed));
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
function stateGauges(registry: Registers) {
  const of = named(registry);
  const gauge = <L extends string>(name: string, help: string, labels: readonly L[] = []) => {
    const made = new Gauge(of(name, help, labels));
    // Without labels it begins as 0, which would be a value that nobody has found.
    if (labels.length === 0) made.remove();
    return made;
  };
  return {
    active: gauge('active', '1 while this process has the state, 0 while it stands by.'),
    folded: gauge('folded_events', 'Events folded since the state was made.'),
    repeated: gauge('repeated_events', 'Folded events that had come before.'),
    inbox: gauge('inbox_events', 'Events that wait for a fold.'),
    letters: gauge('dead_letters_kept', 'Dead letters that the state keeps.', ['source', 'code']),
    size: gauge('matrix_size', 'Users, items and interactions.', ['of']),
    segments: gauge('gramian_segments', 'Segments of the stored Gramian.'),
    bytes: gauge('state_bytes', 'Bytes on disk.', ['of']),
    budget: gauge('memory_budget_bytes', 'The declared memory.'),
    newest: gauge('newest_event_timestamp_seconds', 'The latest time of an event.'),
    up: gauge('up', '1 if the system behind a source or a sink answers.', ['kind', 'name']),
    lagEvents: gauge('source_lag_events', 'Records not taken in yet.', ['source', 'partition']),
    lagSeconds: gauge('source_lag_seconds', 'Time since nothing was left to take in.', [
      'source',
      'partition',
    ]),
    models: gauge('models', 'Models of the state.'),
    created: gauge('model_created_timestamp_seconds', 'When a model was made.', ['model']),
    quality: gauge('model_quality', 'What the gate measured.', ['model', 'metric', 'k']),
    unjudged: gauge('gate_unjudged_ratio', 'Held-out interactions of new users, whom the gate cannot ask.', [
      'model',
    ]),
    drift: gauge(
      'drift_ratio',
      'Events folded since the model as a share of those before, share of users and items that are new.',
      ['model', 'of'],
    ),
    stability: gauge(
      'popularity_stability_index',
      'Shift of popularity since the model; above 0.25 is much.',
      ['model'],
    ),
    passed: gauge('gate_passed', '1 if the gate lets the newest model pass, 0 if it holds it back.'),
    lastRun: gauge('job_last_success_timestamp_seconds', 'When a run last ended well.', ['job']),
    next: gauge('job_next_timestamp_seconds', 'When a job is due next.', ['job']),
  };
}
type StateGauges = ReturnType<typeof stateGauges>;

/** Sets what the state knows of itself. */
function setSizes(g: StateGauges, { host }: OpenStage, status: Status): void {
  g.folded.set(status.folded);
  g.repeated.set(status.repeated);
  g.inbox.set(status.inbox);
  g.letters.reset();
  for (const { source, code, count } of status.deadLetterCodes) g.letters.set({ source, code }, count);
  for (const of of ['users', 'items', 'interactions'] as const) g.size.set({ of }, status[of]);
  g.segments.set(status.gramian.segments);
  g.bytes.set({ of: 'gramian' }, status.gramian.bytes);
  g.bytes.set({ of: 'database' }, status.databaseBytes);
  g.budget.set(parseSize(host.pipeline.config.memory, 'memory'));
  if (status.newestEvent !== undefined) g.newest.set(status.newestEvent / 1000);
}

/** Sets what was found of the systems behind sources and sinks. */
function setHealth(g: StateGauges, { health }: OpenStage): void {
  for (const { kind, name, problem } of health.parts) g.up.set({ kind, name }, problem === undefined ? 1 : 0);
  for (const { source, partition, events, seconds } of health.lags) {
    g.lagEvents.set({ source, partition }, events);
    g.lagSeconds.set({ source, partition }, seconds);
  }
}

/** Sets what is known of models and jobs. */
function setModels(g: StateGauges, status: Status): void {
  g.models.set(status.models.length);
  g.created.reset();
  g.quality.reset();
  g.unjudged.reset();
  g.drift.reset();
  g.stability.reset();
  g.passed.remove();
  for (const [model, about] of Object.entries({ newest: status.newest, published: status.publishedModel })) {
    if (!about) continue;
    g.created.set({ model }, about.createdAt / 1000);
    for (const [metric, value] of Object.entries(about.quality))
      g.quality.set({ model, metric, k: String(about.k) }, value);
    if (about.unjudged !== undefined) g.unjudged.set({ model }, about.unjudged);
    const { popularity, ...shares } = about.drift ?? {};
    for (const [of, share] of Object.entries(shares)) g.drift.set({ model, of }, share);
    if (popularity !== undefined) g.stability.set({ model }, popularity);
  }
  if (status.gate) g.passed.set(status.gate.passed ? 1 : 0);
  for (const { job, last, next } of status.jobs) {
    if (last?.status === 'done') g.lastRun.set({ job }, (last.finishedAt ?? last.startedAt) / 1000);
    if (next !== undefined) g.next.set({ job }, next / 1000);
  }
}
