import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { ModelRecord } from '../../src/contracts/index.js';
import { measures } from '../../src/evaluate/metrics.js';
import type { Drifts } from '../../src/stages/drift.js';
import { optionOf, searched } from '../../src/tune/space.js';
import { verdictOf } from '../gate.js';
import { clocksOf } from '../job.js';
import { jobs } from '../kinds/index.js';
import type { Pipeline } from '../open.js';
import { tunedOf } from '../tuned.js';
import { operation } from './operation.js';

/** Runs and dead letters that are shown. */
const shownRuns = 10;
const shownDeadLetters = 3;

/** The tuned options with those that differ from the configured ones. */
async function tunedStatus(pipeline: Pipeline) {
  const tuned = await tunedOf(pipeline);
  if (!tuned) return undefined;
  const { fit, base } = tuned;
  const names = ['solver', ...searched(fit.solver)];
  const changed = names.filter(name => optionOf(fit, name) !== optionOf(base, name));
  return { ...tuned, changed: Object.fromEntries(changed.map(name => [name, optionOf(fit, name)])) };
}

/** The last run of each job that ran or is scheduled, and the time (epoch ms) at which it is due next. */
export async function jobTimes({ parts, config }: Pipeline) {
  const { store } = parts;
  const last = new Map((await store.lastRuns()).map(run => [run.job, run]));
  const clocks = new Map(
    clocksOf({ parts, config } as Pipeline, Object.values(jobs)).map(c => [c.job.name, c]),
  );
  const due = new Map((await store.dueTimes()).map(d => [d.job, d]));
  return Object.keys(jobs)
    .filter(job => last.has(job) || clocks.has(job))
    .map(job => {
      const [clock, known] = [clocks.get(job), due.get(job)];
      const next = clock && known?.expression === clock.expression ? known.due : undefined;
      return { job, last: last.get(job), next };
    });
}

/** Bytes of the state's database on disk. */
function databaseBytes({ parts: { directory } }: Pipeline): number {
  const sizes = ['state.duckdb', 'state.duckdb.wal'].map(name =>
    statSync(join(directory, name), { throwIfNoEntry: false }),
  );
  return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0);
}

/** What is told of the newest and of the published model: its age, what the gate measured, and the drift since. */
function modelStatus(model: ModelRecord | undefined, drifts: Drifts) {
  if (!model) return undefined;
  const { version, createdAt, manifest } = model;
  const { quality, measured, unjudged } = manifest.metrics ?? {};
  const figures = quality ? Object.fromEntries(measures.map(name => [name, quality[name]])) : {};
  return { version, createdAt, quality: figures, unjudged, k: measured?.k, drift: drifts.get(version) };
}

async function gramianStatus({ parts: { store } }: Pipeline) {
  const segments = await store.segments();
  return {
    mode: (await store.gramian())?.mode ?? 'none',
    segments: segments.length,
    entries: segments.reduce((s, x) => s + x.nnz, 0),
    bytes: segments.reduce((s, x) => s + x.bytes, 0),
  };
}

/** How events grow old; `undefined` where none do. Their number is in `aged`. */
async function ageingStatus({ ageing, config: { semantics } }: Pipeline) {
  const { window, halfLife } = semantics;
  const now = await ageing();
  return (window ?? halfLife ?? now) === undefined ? undefined : { window, halfLife, ...now };
}

export const status = operation({
  parameters: z.strictObject({}),
  freshMs: 1000,
  async run({ pipeline }) {
    const { parts } = pipeline;
    const { store } = parts;
    const positions: Record<string, readonly object[]> = {};
    for (const { name } of parts.sources)
      positions[name] = (await store.positions(name)).map(({ taken: _, ...position }) => position);
    const [models, drifts] = [await store.models(), await pipeline.drifts()];
    return {
      state: parts.directory,
      ...(await store.counts()),
      folded: await store.folded(),
      ageing: await ageingStatus(pipeline),
      gramian: await gramianStatus(pipeline),
      databaseBytes: databaseBytes(pipeline),
      models: models.map(m => m.version),
      newest: modelStatus(models.at(-1), drifts),
      publishedModel: modelStatus(
        models.find(m => m.published),
        drifts,
      ),
      published: models.find(m => m.published)?.version,
      gate: await verdictOf(pipeline),
      tuned: await tunedStatus(pipeline),
      positions,
      jobs: await jobTimes(pipeline),
      runs: await store.runs(shownRuns),
      deadLetterCodes: await store.deadLetterCounts(),
      skipped: await store.skippedCounts(),
      deadLetterSamples: await store.deadLetters(shownDeadLetters),
    };
  },
});
