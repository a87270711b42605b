import { join } from 'node:path';
import { fromNothing, type Rows } from '../matrix/rows.js';
import { Arena } from '../runtime/arena.js';
import { Threads } from '../runtime/threads.js';
import { openSegment, type SegmentFile } from './segment.js';
import { sumReader } from './sum.js';
import { type ColumnBlock, rowUpdate } from './update.js';
import { weightChanges } from './weights.js';

/** Comparison of a stored Gramian with the histories. */
export interface Comparison {
  /** Entries that differ; 0 in a sound state. */
  readonly differing: number;
  /** Entries of XᵀWX. */
  readonly entries: number;
  /** Segment files whose checksum does not match. */
  readonly broken: readonly string[];
}

/** Entries in which two blocks of the same columns differ; rows ascend in both. */
function differences(a: ColumnBlock, b: ColumnBlock): number {
  let count = 0;
  for (let c = 0, p = 0, q = 0; c < a.lengths.length; c++) {
    const [pEnd, qEnd] = [p + a.lengths[c]!, q + b.lengths[c]!];
    while (p < pEnd || q < qEnd) {
      const i = p < pEnd ? a.indices[p]! : Number.POSITIVE_INFINITY;
      const j = q < qEnd ? b.indices[q]! : Number.POSITIVE_INFINITY;
      if (i !== j || a.values[p] !== b.values[q]) count++;
      if (i <= j) p++;
      if (j <= i) q++;
    }
  }
  return count;
}

/** Recomputes XᵀWX and compares it with the sum of the segments, entry for entry. */
export async function compareWithHistories(
  directory: string,
  files: readonly SegmentFile[],
  rows: Rows,
  threadCount = 1,
  userWeighting = 0,
): Promise<Comparison> {
  const segments = files.map(f => openSegment(join(directory, f.file)));
  const arena = new Arena();
  const threads = new Threads(arena, threadCount);
  try {
    const broken = segments.filter(s => !s.intact()).map(s => s.path);
    const own = new Arena();
    const sums = sumReader(own, segments, rows.n);
    const mark = own.mark();
    let differing = 0;
    let column = 0;
    const all = fromNothing(rows);
    const update = rowUpdate(arena, threads, all, weightChanges(all, userWeighting));
    const entries = update.run(block => {
      const last = block.first + block.lengths.length;
      differing += differences(block, sums.range(block.first, last));
      own.release(mark);
      column = last;
    });
    // Columns behind the last interaction, which ought to be empty.
    if (column < rows.n) differing += sums.range(column, rows.n).indices.length;
    return { differing, entries, broken };
  } finally {
    await threads.close();
    for (const s of segments) s.close();
  }
}
