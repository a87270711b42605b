import { join } from 'node:path';
import type { BuildSegment, FoldSummary } from '../contracts/index.js';
import { lacksMemory, StageError, toStageError } from '../errors.js';
import type { GramianInput } from '../fit/fit.js';
import { memoryOfFit } from '../fit/memory.js';
import { isSmall } from '../gramian/build.js';
import { type GramianEntries, openEntries } from '../gramian/export.js';
import { type GramianMode, type GramianState, planGramian, stillHolds } from '../gramian/plan.js';
import { type Comparison, compareWithHistories } from '../gramian/verify.js';
import { largestEnergy } from '../gramian/weights.js';
import { fromNothing } from '../matrix/rows.js';
import { runOnce } from '../runtime/compute.js';
import { tasksOf } from '../runtime/task.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import type { StageOptions } from './options.js';
import type { PipelineParts } from './parts.js';
import {
  makeSegment,
  mergeSegments,
  replaceSegments,
  segmentRegister,
  segmentsDirectory,
} from './segments.js';

const verifyTask = tasksOf<typeof import('../gramian/verify.js')>(
  new URL('../gramian/verify.js', import.meta.url),
);

const buildTask = tasksOf<typeof import('../gramian/build.js')>(
  new URL('../gramian/build.js', import.meta.url),
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

/** Makes the stored Gramian from all histories, in place of the present segments. */
async function rebuildGramian(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  const { store, options } = parts;
  const { userWeighting } = options.fit;
  const { maxHistory } = options.gramian;
  const rows = await store.interactions(maxHistory);
  const segment = await makeSegment(parts, fromNothing(rows), userWeighting, signal);
  // While the mode is implicit nobody reads segments: a crash may leave any of them.
  await store.setGramian({ mode: 'implicit', userWeighting });
  const old = await store.segments();
  await replaceSegments(parts, old, segment);
  await store.setGramian({ mode: 'stored', userWeighting, maxHistory });
}

/** The mode that fits X. The state remembers the choice, for counting reads all of X. */
async function plannedState(
  { store, fitMemoryBytes, options }: PipelineParts,
  current: GramianState | undefined,
): Promise<GramianState> {
  const { userWeighting } = options.fit;
  const { maxHistory } = options.gramian;
  const planned = {
    events: await store.folded(),
    settings: JSON.stringify([fitMemoryBytes, options.fit, ...(maxHistory ? [maxHistory] : [])]),
  };
  if (current && stillHolds(current.planned, planned)) return { ...current, userWeighting, maxHistory };
  const counts = await store.counts(maxHistory);
  const implicit = memoryOfFit({ ...counts, mode: 'implicit', options: options.fit }, 1, fitMemoryBytes);
  const segments = current?.mode === 'stored' ? await store.segments() : [];
  const entries = segments.length > 0 ? segments.reduce((sum, s) => sum + s.nnz, 0) : undefined;
  const { items, pairs } = counts;
  const cheaper = planGramian({ items, pairs, entries }, current?.mode);
  const mode = implicit.total > fitMemoryBytes ? 'stored' : cheaper;
  return { mode, userWeighting, maxHistory, planned };
}

/** Whether segments of a state have the weights of users and the part of their histories that are configured. */
const hasSettings = (state: GramianState | undefined, { gramian, fit }: StageOptions): boolean =>
  state?.userWeighting === fit.userWeighting && state.maxHistory === gramian.maxHistory;

/** Moves the state to the mode that is pinned or planned: stored, where X itself passes the memory budget. */
async function settleGramian(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  const { store, options, log } = parts;
  const current = await store.gramian();
  const { userWeighting } = options.fit;
  const { mode, maxHistory } = options.gramian;
  const wanted = mode === 'auto' ? await plannedState(parts, current) : { mode, userWeighting, maxHistory };
  const fits = wanted.mode === 'implicit' || hasSettings(current, options);
  if (wanted.mode !== current?.mode || !fits) {
    log.info(
      { from: current?.mode ?? 'none', to: wanted.mode, userWeighting, maxHistory },
      'Gramian mode changes',
    );
    if (wanted.mode === 'stored') await rebuildGramian(parts, signal);
    else {
      await store.setGramian({ mode: 'implicit', userWeighting });
      await replaceSegments(parts, await store.segments(), undefined);
    }
  } else if (wanted.planned === current.planned) return;
  await store.setGramian(wanted);
}

/**
 * As `settleGramian`. Where sums of squares that were taken for users alike are too large for users with weights, nothing
 * moves: folds go on, and the next fit says `OVERFLOW`.
 */
async function settleQuietly(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  try {
    await settleGramian(parts, signal);
  } catch (error) {
    if (!(error instanceof StageError && error.code === 'OVERFLOW')) throw error;
    parts.log.error({ code: error.code, remedy: error.remedy }, error.message);
  }
}

/** Builds segments only while the state's Gramian is stored. */
async function segmentBuilder(parts: PipelineParts, signal?: AbortSignal): Promise<BuildSegment | undefined> {
  const state = await parts.store.gramian();
  if (state?.mode !== 'stored') return undefined;
  return changes => makeSegment(parts, changes, state.userWeighting, signal);
}

/** What squares of an item may add up to, for the weights of users that fits want and that segments have. */
async function energyOf({ store, options }: PipelineParts): Promise<number> {
  return largestEnergy(options.fit.userWeighting || ((await store.gramian())?.userWeighting ?? 0));
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
    const { store } = parts;
    const [build, energy] = [await segmentBuilder(parts, signal), await energyOf(parts)];
    return await store.fold(limit, build, energy, (await store.gramian())?.maxHistory);
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
  for (;;) {
    signal?.throwIfAborted();
    const step = await foldBatch(parts, limit, signal);
    if (step === undefined) {
      limit = await smallerBatch(parts, limit);
      continue;
    }
    if (step.events === 0) break;
    events += step.events;
    users += step.users;
    segment = step.segment ?? segment;
    if (step.segment) await mergeSegments(parts, false, signal);
  }
  if (events > 0 || options.gramian.mode !== 'auto') await settleQuietly(parts, signal);
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
  const { directory, store, scale, options } = parts;
  if ((await modeFor(parts, fit)) === 'implicit') {
    return { mode: 'implicit', rows: await store.interactions(options.gramian.maxHistory), scale };
  }
  const segments = segmentsDirectory(directory);
  const paths = (await store.segments()).map(s => join(segments, s.file));
  return { mode: 'stored', paths, n, scale, pruning: pruningOf(parts, n, fit, segments) };
}

/** Smaller catalogues are never pruned: their columns are dense, and lose what patterns need. */
const prunedFrom = 10_000;

/** How the view of the Gramian is pruned that a fit reads, if it reads one. */
function pruningOf(
  { options, fitMemoryBytes }: PipelineParts,
  n: number,
  fit: FitOptions,
  directory: string,
) {
  const { keep } = options.gramian;
  const needs = solverOf(fit).pruning?.(n, fit, fitMemoryBytes);
  if (keep === undefined || needs === undefined || n < prunedFrom) return undefined;
  return { keep: Math.max(keep, needs.least), alpha: needs.alpha, directory };
}

/** All of G as of the last fold. Where it is not stored it is computed into a file in the directory `scratch`. */
async function entriesOf(parts: PipelineParts, scratch: string): Promise<GramianEntries> {
  const { directory, store, scale, options } = parts;
  const { items } = await store.counts();
  const segments = (await store.gramian())?.mode === 'stored' ? await store.segments() : [];
  if (segments.length > 0) {
    return openEntries(
      segments.map(s => join(segmentsDirectory(directory), s.file)),
      items,
    );
  }
  const changes = fromNothing(await store.interactions(options.gramian.maxHistory));
  const { userWeighting } = options.fit;
  const made = await runOnce(buildTask('buildSegment'), [
    scratch,
    scale,
    changes,
    options.threads,
    userWeighting,
  ]);
  return openEntries(made ? [join(scratch, made.file)] : [], items);
}
