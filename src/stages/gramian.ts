import { join } from 'node:path';
import type { FoldSummary } from '../contracts/index.js';
import { lacksMemory, StageError, toStageError } from '../errors.js';
import type { GramianInput } from '../fit/fit.js';
import { isSmall } from '../gramian/build.js';
import { type GramianEntries, openEntries } from '../gramian/export.js';
import type { GramianMode } from '../gramian/plan.js';
import type { Pruning } from '../gramian/prune.js';
import { type Comparison, compareWithHistories } from '../gramian/verify.js';
import { fromNothing } from '../matrix/rows.js';
import { runOnce } from '../runtime/compute.js';
import { tasksOf } from '../runtime/task.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import { energyOf, keepFrame, presentScale } from './ageing.js';
import { hasSettings, settleGramian, settleQuietly } from './gramian-mode.js';
import type { PipelineParts } from './parts.js';
import {
  makeSegment,
  mergeSegments,
  segmentBuilder,
  segmentRegister,
  segmentsDirectory,
} from './segments.js';

const verifyTask = tasksOf<typeof import('../gramian/verify.js')>(
  new URL('../gramian/verify.js', import.meta.url),
);

/** The result of `verify`, and how the state keeps its Gramian. */
export interface VerifySummary extends Comparison {
  readonly mode: string;
}

/** Keeps the Gramian in step with the interactions: folds, segments, their compaction and their check. */
export function createGramianKeeper(parts: PipelineParts) {
  return {
    register: (retired: ReadonlySet<string>) => segmentRegister(parts, retired),
    fold: (signal?: AbortSignal) => fold(parts, signal),
    compact: (signal?: AbortSignal) => mergeSegments(parts, true, signal),
    verify: (signal?: AbortSignal) => verify(parts, signal),
    entries: (scratch: string) => entriesOf(parts, scratch),
    modeFor: (fit: FitOptions) => modeFor(parts, fit),
    input: (n: number, fit: FitOptions) => inputOf(parts, n, fit),
  };
}

/** Events of a batch that is not halved any more. */
const leastBatch = 5_000;

/** Folds up to `limit` events in one transaction; `undefined` when they do not fit the memory, and none was folded. */
async function foldBatch(
  parts: PipelineParts,
  limit: number,
  signal?: AbortSignal,
): Promise<FoldSummary | undefined> {
  try {
    const state = await parts.store.gramian();
    const build = segmentBuilder(parts, state, signal);
    return await parts.store.fold(limit, build, energyOf(parts, state), state?.maxHistory);
  } catch (error) {
    if (!lacksMemory(error)) throw error;
    const { message } = toStageError(error);
    if (limit <= leastBatch)
      throw new StageError(
        'MEMORY_BUDGET',
        `a fold of ${limit} events does not fit the memory, and smaller ones are not tried: ${message}`,
        {
          cause: error,
        },
      );
    parts.log.debug({ limit, reason: message }, 'a smaller batch is folded');
    return undefined;
  }
}

/** The events of a first batch: a history that makes no segment is best folded at once. */
async function firstBatch({ store, options }: PipelineParts): Promise<number> {
  const atOnce = (await store.folded()) === 0 && (await store.gramian())?.mode !== 'stored';
  return atOnce ? Number.POSITIVE_INFINITY : options.fold.maxEvents;
}

/** Half of the events that did not fit. */
async function smallerBatch({ store, options }: PipelineParts, limit: number): Promise<number> {
  const half = Math.floor(Math.min(limit, await store.pending()) / 2);
  return Math.min(options.fold.maxEvents, Math.max(leastBatch, half));
}

/** Folds the inbox, `fold.maxEvents` a transaction or as many as fit the memory, and keeps the segments few. */
async function fold(parts: PipelineParts, signal?: AbortSignal): Promise<FoldSummary> {
  const { store, options } = parts;
  if ((await store.gramian()) === undefined && options.gramian.mode === 'stored')
    await settleGramian(parts, signal);
  let limit = await firstBatch(parts);
  let events = 0;
  let users = 0;
  let segment: FoldSummary['segment'];
  let moved = await keepFrame(parts, 0, signal);
  for (;;) {
    signal?.throwIfAborted();
    const step = await foldBatch(parts, limit, signal);
    if (step === undefined) {
      limit = await smallerBatch(parts, limit);
      continue;
    }
    if (step.rise !== undefined) {
      moved = (await keepFrame(parts, step.rise, signal)) || moved;
      continue;
    }
    events += step.events;
    users += step.users;
    segment = step.segment ?? segment;
    if (step.segment) await mergeSegments(parts, false, signal);
    // What came meanwhile is for the next fold.
    if (step.events < limit) break;
  }
  if (events > 0 || moved || options.gramian.mode !== 'auto') await settleQuietly(parts, signal);
  return { events, users, segment };
}

/** Compares the stored Gramian with the one recomputed from the histories. */
async function verify(
  { directory: root, store, options }: PipelineParts,
  signal?: AbortSignal,
): Promise<VerifySummary> {
  const state = await store.gramian();
  if (state?.mode !== 'stored') return { differing: 0, entries: 0, broken: [], mode: state?.mode ?? 'none' };
  const { mode, userWeighting, maxHistory } = state;
  const directory = segmentsDirectory(root);
  const [segments, rows] = [await store.segments(), await store.interactions(maxHistory)];
  const found = isSmall(fromNothing(rows))
    ? await compareWithHistories(directory, segments, rows, 1, userWeighting)
    : await runOnce(
        verifyTask('compareWithHistories'),
        [directory, segments, rows, options.threads, userWeighting],
        { signal },
      );
  return { ...found, mode };
}

/** The input of a fit: the segments, if they have its settings and its solver can do with them, else X. */
async function modeFor({ store, options }: PipelineParts, fit: FitOptions): Promise<GramianMode> {
  const state = await store.gramian();
  const stored = state?.mode === 'stored' && hasSettings(state, { ...options, fit });
  return stored && solverOf(fit).reads === 'gramian' ? 'stored' : 'implicit';
}

/** That input for n items. */
async function inputOf(parts: PipelineParts, n: number, fit: FitOptions): Promise<GramianInput> {
  const { directory, store, options } = parts;
  const scale = await presentScale(parts);
  if ((await modeFor(parts, fit)) === 'implicit') {
    return { mode: 'implicit', rows: await store.interactions(options.gramian.maxHistory), scale };
  }
  const segments = segmentsDirectory(directory);
  const paths = (await store.segments()).map(s => join(segments, s.file));
  const pruning = pruningOf(parts, n, fit);
  return { mode: 'stored', paths, n, scale, pruning: pruning && { ...pruning, directory: segments } };
}

/** Smaller catalogues are never pruned: their columns are dense, and lose what patterns need. */
const prunedFrom = 10_000;

/** How the view of the Gramian is pruned that a fit reads, if it reads one. */
export function pruningOf(
  { options, fitMemoryBytes }: PipelineParts,
  n: number,
  fit: FitOptions,
): Pruning | undefined {
  const { keep } = options.gramian;
  const needs = solverOf(fit).pruning?.(n, fit, fitMemoryBytes);
  if (keep === undefined || needs === undefined || n < prunedFrom) return undefined;
  return { keep: Math.max(keep, needs.least), alpha: needs.alpha };
}

/** All of G as of the last fold. Where it is not stored it is computed into a file in the directory `scratch`. */
async function entriesOf(parts: PipelineParts, scratch: string): Promise<GramianEntries> {
  const { directory, store, options } = parts;
  const { items } = await store.counts();
  const decay = ((await presentScale(parts)) / parts.scale) ** 2;
  const segments = (await store.gramian())?.mode === 'stored' ? await store.segments() : [];
  if (segments.length > 0) {
    return openEntries(
      segments.map(s => join(segmentsDirectory(directory), s.file)),
      items,
      decay,
    );
  }
  const changes = fromNothing(await store.interactions(options.gramian.maxHistory));
  const made = await makeSegment(parts, scratch, changes, options.fit.userWeighting);
  return openEntries(made ? [join(scratch, made.file)] : [], items, decay);
}
