import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildSegment, LeavingUser } from '../contracts/index.js';
import { buildSegment, isSmall } from '../gramian/build.js';
import { compactSegments, compactWithout, suffixToCompact } from '../gramian/compact.js';
import type { GramianState } from '../gramian/plan.js';
import { removePruned } from '../gramian/prune.js';
import type { SegmentFile } from '../gramian/segment.js';
import { updateThreads } from '../gramian/update.js';
import type { RowChanges } from '../matrix/rows.js';
import { runOnce } from '../runtime/compute.js';
import { failpoint } from '../runtime/failpoint.js';
import { tasksOf } from '../runtime/task.js';
import type { Register } from './orphans.js';
import type { PipelineParts } from './parts.js';

const buildTask = tasksOf<typeof import('../gramian/build.js')>(
  new URL('../gramian/build.js', import.meta.url),
);
const compactTask = tasksOf<typeof import('../gramian/compact.js')>(
  new URL('../gramian/compact.js', import.meta.url),
);

/** Segments with fewer entries in all are merged where they stand (a few milliseconds). */
const smallEntries = 200_000;

/** Names of files that are being written. */
const unfinished = /^[0-9a-f-]{36}\.safetensors\.tmp$/;

/** The state directory, with its segments in `gramian/`, and the store that registers them. */
type State = Pick<PipelineParts, 'directory' | 'store'>;

/** Directory of the segments of a state. */
export const segmentsDirectory = (state: string): string => join(state, 'gramian');

/** What belongs in `gramian/`. */
export async function segmentRegister(
  { directory, store }: State,
  retired: ReadonlySet<string>,
): Promise<Register> {
  return {
    directory: segmentsDirectory(directory),
    whole: /^[0-9a-f-]{36}\.safetensors$/,
    unfinished,
    registered: new Set((await store.segments()).map(s => s.file)),
    retired,
  };
}

/** Runs `body`, and removes the unfinished file of a thread that was ended on the way. */
async function unlessStopped<T>(directory: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    for (const name of readdirSync(directory)) if (unfinished.test(name)) rmSync(join(directory, name));
    throw error;
  }
}

/** Writes ΔG of changed histories to `directory`, which is made where there is none; the caller registers it. */
export async function makeSegment(
  { scale, fitMemoryBytes, options }: PipelineParts,
  directory: string,
  changes: RowChanges,
  userWeighting: number,
  signal?: AbortSignal,
): Promise<SegmentFile | undefined> {
  mkdirSync(directory, { recursive: true });
  const threads = updateThreads(changes, options.threads, fitMemoryBytes);
  return isSmall(changes)
    ? buildSegment(directory, scale, changes, 1, userWeighting)
    : unlessStopped(directory, () =>
        runOnce(buildTask('buildSegment'), [directory, scale, changes, threads, userWeighting], { signal }),
      );
}

/** Builds segments only while the state's Gramian is stored. */
export function segmentBuilder(
  parts: PipelineParts,
  state: GramianState | undefined,
  signal?: AbortSignal,
): BuildSegment | undefined {
  if (state?.mode !== 'stored') return undefined;
  const directory = segmentsDirectory(parts.directory);
  return changes => makeSegment(parts, directory, changes, state.userWeighting, signal);
}

/** Puts `segment` in the place of the `old` ones, whose files go once nothing names them. */
export async function replaceSegments(
  { directory, store }: State,
  old: readonly SegmentFile[],
  segment: SegmentFile | undefined,
): Promise<void> {
  await store.replaceSegments(old, segment);
  removePruned(segmentsDirectory(directory));
  for (const s of old) rmSync(join(segmentsDirectory(directory), s.file), { force: true });
}

/** Merges segments: the newest ones when they are due, or `all` into one. Returns how many were merged. */
export async function mergeSegments(state: State, all: boolean, signal?: AbortSignal): Promise<number> {
  const directory = segmentsDirectory(state.directory);
  const segments = await state.store.segments();
  const old = all ? segments : suffixToCompact(segments);
  if (old.length < 2) return 0;
  const before = segments.slice(0, segments.length - old.length);
  const n = segments.reduce((most, s) => Math.max(most, s.n), 0);
  const small = old.reduce((sum, s) => sum + s.nnz, 0) < smallEntries;
  const merged = small
    ? compactSegments(directory, old, n, before)
    : await unlessStopped(directory, () =>
        runOnce(compactTask('compactSegments'), [directory, old, n, before], { signal }),
      );
  failpoint('compact:segment-written');
  await replaceSegments(state, old, merged);
  return old.length;
}

/** Writes the stored Gramian without a user, as one segment: no smaller one with her history is left. */
export async function segmentWithout(
  { directory: state }: State,
  { segments, ...leftOut }: LeavingUser,
  signal?: AbortSignal,
): Promise<SegmentFile | undefined> {
  const directory = segmentsDirectory(state);
  removePruned(directory);
  if (segments.length === 0) return undefined;
  const { n } = leftOut.row;
  const entries = segments.reduce((sum, s) => sum + s.nnz, leftOut.row.indices.length ** 2);
  return entries < smallEntries
    ? compactWithout(directory, segments, n, leftOut)
    : unlessStopped(directory, () =>
        runOnce(compactTask('compactWithout'), [directory, segments, n, leftOut], { signal }),
      );
}
