import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildSegment, FoldSummary, LeavingUser } from '../contracts/index.js';
import type { GramianInput } from '../fit/fit.js';
import { memoryOfFit } from '../fit/memory.js';
import { buildSegment, isSmall } from '../gramian/build.js';
import { compactSegments, compactWithout, suffixToCompact } from '../gramian/compact.js';
import { type GramianMode, planGramian } from '../gramian/plan.js';
import type { SegmentFile } from '../gramian/segment.js';
import { type Comparison, compareWithHistories } from '../gramian/verify.js';
import { fromNothing, type RowChanges } from '../matrix/rows.js';
import { runOnce } from '../runtime/compute.js';
import { failpoint } from '../runtime/failpoint.js';
import { tasksOf } from '../runtime/task.js';
import { type FitOptions, solverOf } from '../solvers/index.js';
import type { Register } from './orphans.js';
import type { PipelineParts } from './parts.js';

const buildTask = tasksOf<typeof import('../gramian/build.js')>(
  new URL('../gramian/build.js', import.meta.url),
);
const compactTask = tasksOf<typeof import('../gramian/compact.js')>(
  new URL('../gramian/compact.js', import.meta.url),
);
const verifyTask = tasksOf<typeof import('../gramian/verify.js')>(
  new URL('../gramian/verify.js', import.meta.url),
);

/** Segments with fewer entries in all are merged where they stand (a few milliseconds). */
const smallEntries = 200_000;

/** The result of `verify`, and how the state keeps its Gramian. */
export interface VerifySummary extends Comparison {
  readonly mode: string;
}

/** Keeps the Gramian in step with the interactions: folds, segments, their compaction and their check. */
export function createGramianKeeper(parts: PipelineParts) {
  const { directory: state, store, scale, fitMemoryBytes, options, log } = parts;
  const { threads } = options;
  const directory = join(state, 'gramian');

  const makeSegment = async (
    changes: RowChanges,
    userWeighting: number,
  ): Promise<SegmentFile | undefined> => {
    mkdirSync(directory, { recursive: true });
    return isSmall(changes)
      ? buildSegment(directory, scale, changes, 1, userWeighting)
      : runOnce(buildTask('buildSegment'), [directory, scale, changes, threads, userWeighting]);
  };

  /** What belongs in `gramian/`. */
  const register = async (retired: ReadonlySet<string>): Promise<Register> => ({
    directory,
    whole: /^[0-9a-f-]{36}\.safetensors$/,
    unfinished: /^[0-9a-f-]{36}\.safetensors\.tmp$/,
    registered: new Set((await store.segments()).map(s => s.file)),
    retired,
  });

  /** Makes the stored Gramian from all histories, in place of the present segments. */
  async function rebuildGramian(): Promise<void> {
    const rows = await store.interactions();
    const { userWeighting } = options.fit;
    const segment = await makeSegment(fromNothing(rows), userWeighting);
    // While the mode is implicit nobody reads segments: a crash may leave any of them.
    await store.setGramian({ mode: 'implicit', userWeighting });
    const old = await store.segments();
    await replace(old, segment);
    await store.setGramian({ mode: 'stored', userWeighting });
  }

  /** Puts `segment` in the place of the `old` ones, whose files go once nothing names them. */
  async function replace(old: readonly SegmentFile[], segment: SegmentFile | undefined): Promise<void> {
    await store.replaceSegments(old, segment);
    for (const s of old) rmSync(join(directory, s.file), { force: true });
  }

  /** Moves the state to the mode that is pinned or planned: stored, where X itself passes the memory budget. */
  async function settleGramian(): Promise<void> {
    const current = await store.gramian();
    const { userWeighting } = options.fit;
    const counts = await store.counts();
    const { items, pairs } = counts;
    const implicit = memoryOfFit({ ...counts, mode: 'implicit', options: options.fit }, 1, fitMemoryBytes);
    const planned = implicit.total <= fitMemoryBytes ? planGramian(items, pairs, current?.mode) : 'stored';
    const wanted = options.gramian.mode === 'auto' ? planned : options.gramian.mode;
    const fits = wanted === 'implicit' || current?.userWeighting === userWeighting;
    if (wanted === current?.mode && fits) return;
    log.info({ from: current ?? 'none', to: wanted, userWeighting, items, pairs }, 'Gramian mode changes');
    if (wanted === 'stored') return rebuildGramian();
    await store.setGramian({ mode: 'implicit', userWeighting });
    await replace(await store.segments(), undefined);
  }

  /** Builds segments only while the state's Gramian is stored. */
  async function segmentBuilder(): Promise<BuildSegment> {
    const state = await store.gramian();
    if (state?.mode !== 'stored') return async () => undefined;
    return changes => makeSegment(changes, state.userWeighting);
  }

  /** Folds the inbox, `fold.maxEvents` a transaction, and keeps the segments few. */
  async function fold(signal?: AbortSignal): Promise<FoldSummary> {
    if ((await store.gramian()) === undefined && options.gramian.mode === 'stored') await settleGramian();
    let events = 0;
    let users = 0;
    let segment: FoldSummary['segment'];
    for (;;) {
      signal?.throwIfAborted();
      const step = await store.fold(options.fold.maxEvents, await segmentBuilder());
      if (step.events === 0) break;
      events += step.events;
      users += step.users;
      segment = step.segment ?? segment;
      if (step.segment) await compact(false);
    }
    if (events > 0 || options.gramian.mode !== 'auto') await settleGramian();
    return { events, users, segment };
  }

  /** Merges segments: the newest ones when they are due, or `all` into one. Returns how many were merged. */
  async function compact(all = true): Promise<number> {
    const segments = await store.segments();
    const old = all ? segments : suffixToCompact(segments);
    if (old.length < 2) return 0;
    const n = segments.reduce((most, s) => Math.max(most, s.n), 0);
    const small = old.reduce((sum, s) => sum + s.nnz, 0) < smallEntries;
    const merged = small
      ? compactSegments(directory, old, n)
      : await runOnce(compactTask('compactSegments'), [directory, old, n]);
    failpoint('compact:segment-written');
    await replace(old, merged);
    return old.length;
  }

  /** Writes the stored Gramian without a user, as one segment: no smaller one with her history is left. */
  async function without({ segments, ...leftOut }: LeavingUser): Promise<SegmentFile | undefined> {
    if (segments.length === 0) return undefined;
    const { n } = leftOut.row;
    const entries = segments.reduce((sum, s) => sum + s.nnz, leftOut.row.indices.length ** 2);
    return entries < smallEntries
      ? compactWithout(directory, segments, n, leftOut)
      : runOnce(compactTask('compactWithout'), [directory, segments, n, leftOut]);
  }

  /** Compares the stored Gramian with the one recomputed from the histories. */
  async function verify(): Promise<VerifySummary> {
    const state = await store.gramian();
    if (state?.mode !== 'stored')
      return { differing: 0, entries: 0, broken: [], mode: state?.mode ?? 'none' };
    const { mode, userWeighting } = state;
    const [segments, rows] = [await store.segments(), await store.interactions()];
    const found = isSmall(fromNothing(rows))
      ? await compareWithHistories(directory, segments, rows, 1, userWeighting)
      : await runOnce(verifyTask('compareWithHistories'), [
          directory,
          segments,
          rows,
          threads,
          userWeighting,
        ]);
    return { ...found, mode };
  }

  /** The input of a fit: the segments, if they have its user weighting and its solver can do with them, else X. */
  async function modeFor(fit: FitOptions): Promise<GramianMode> {
    const state = await store.gramian();
    const stored = state?.mode === 'stored' && state.userWeighting === fit.userWeighting;
    return stored && solverOf(fit).reads === 'gramian' ? 'stored' : 'implicit';
  }

  /** That input for n items. */
  async function input(n: number, fit: FitOptions): Promise<GramianInput> {
    if ((await modeFor(fit)) === 'implicit') {
      return { mode: 'implicit', rows: await store.interactions(), scale };
    }
    const paths = (await store.segments()).map(s => join(directory, s.file));
    return { mode: 'stored', paths, n, scale };
  }

  return { register, fold, compact, without, verify, modeFor, input };
}
