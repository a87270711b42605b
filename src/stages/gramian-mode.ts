import { StageError } from '../errors.js';
import { memoryOfFit } from '../fit/memory.js';
import { type GramianState, planGramian, stillHolds, storable } from '../gramian/plan.js';
import { fromNothing } from '../matrix/rows.js';
import type { StageOptions } from './options.js';
import type { PipelineParts } from './parts.js';
import { makeSegment, replaceSegments, segmentsDirectory } from './segments.js';

/** Makes the stored Gramian from all histories, in place of the present segments. */
async function rebuildGramian(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  const { directory, store, options } = parts;
  const { userWeighting } = options.fit;
  const { maxHistory } = options.gramian;
  const rows = await store.interactions(maxHistory);
  const segment = await makeSegment(
    parts,
    segmentsDirectory(directory),
    fromNothing(rows),
    userWeighting,
    signal,
  );
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
  const { items, pairs, interactions } = counts;
  const sizes = { items, pairs, entries };
  const cheaper = implicit.total > fitMemoryBytes ? 'stored' : planGramian(sizes, current?.mode);
  const mode = storable(sizes, interactions) ? cheaper : 'implicit';
  return { mode, userWeighting, maxHistory, planned };
}

/** Whether segments of a state have the weights of users and the part of their histories that are configured. */
export const hasSettings = (state: GramianState | undefined, { gramian, fit }: StageOptions): boolean =>
  state?.userWeighting === fit.userWeighting && state.maxHistory === gramian.maxHistory;

/** Moves the state to the mode that is pinned or planned: stored, where X itself passes the memory budget and G is not vast. */
export async function settleGramian(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  const { store, options, log } = parts;
  const current = await store.gramian();
  const { userWeighting } = options.fit;
  const { mode, maxHistory } = options.gramian;
  const wanted = mode === 'auto' ? await plannedState(parts, current) : { mode, userWeighting, maxHistory };
  const fits = wanted.mode === 'implicit' || hasSettings(current, options);
  if (wanted.mode !== current?.mode || !fits) {
    log.info(
      { from: current?.mode ?? 'none', to: wanted.mode, userWeighting, maxHistory },
      'Gramian mode changed',
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
export async function settleQuietly(parts: PipelineParts, signal?: AbortSignal): Promise<void> {
  try {
    await settleGramian(parts, signal);
  } catch (error) {
    if (!(error instanceof StageError && error.code === 'OVERFLOW')) throw error;
    parts.log.error({ code: error.code, remedy: error.remedy }, error.message);
  }
}
