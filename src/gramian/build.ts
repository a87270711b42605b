import type { RowChanges } from '../matrix/rows.js';
import { Arena } from '../runtime/arena.js';
import { Threads } from '../runtime/threads.js';
import type { SegmentFile } from './segment.js';
import { openSegmentWriter } from './segment-writer.js';
import { rowUpdate } from './update.js';
import { weightChanges } from './weights.js';

/** Changed rows that are multiplied out where they stand: a few milliseconds of work. */
const smallRows = 5_000;

/** Whether a change is so small that a thread of its own would cost more than the work. */
export function isSmall({ before, after }: RowChanges): boolean {
  const entries = after.indices.length + before.indices.length;
  if (entries > smallRows) return false;
  let pairs = 0;
  for (const { indptr } of [before, after]) {
    for (let r = 0; r + 1 < indptr.length; r++) pairs += (indptr[r + 1]! - indptr[r]!) ** 2;
  }
  return pairs < 1e6;
}

/** Writes the segment of a change, ΔG of users weighted by η = `userWeighting`; `undefined` when it is empty. */
export async function buildSegment(
  directory: string,
  scale: number,
  changes: RowChanges,
  threadCount = 1,
  userWeighting = 0,
): Promise<SegmentFile | undefined> {
  const arena = new Arena();
  const threads = new Threads(arena, threadCount);
  try {
    const update = rowUpdate(arena, threads, changes, weightChanges(changes, userWeighting));
    const writer = openSegmentWriter(arena, directory, changes.after.n, scale, userWeighting);
    try {
      return update.run(block => writer.write(block)) === 0 ? undefined : writer.finish();
    } finally {
      writer.close();
    }
  } finally {
    await threads.close();
  }
}
