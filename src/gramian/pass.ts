import type { TaskKernel, Threads } from '../runtime/threads.js';
import type { Report } from './columns.js';
import {
  type ColumnSizes,
  type encodedScratch,
  LOAD_BYTES,
  loadedBytes,
  loadRange,
  openColumns,
  type StoredColumns,
  tableBytes,
} from './encoded.js';

/** Parts of the loaded columns per thread. */
const PARTS_A_THREAD = 8;
/** Records, and whatever a part is rounded up to. */
const SLACK = 1024;

/** Bytes of the columns of a pass over n of them: two loads that take turns, and what is encoded on the way. */
export const passBytes = (n: number, files: readonly number[]): number => 3 * loadedBytes(n, files);

/** Where a pass over all columns stops to load more: `ends` of ranges of items. */
export function rangesOf({ entries, bytes }: ColumnSizes): {
  readonly ends: number[];
  readonly most: number;
  readonly width: number;
} {
  const ends: number[] = [];
  let [first, sum, most, width] = [0, 0, 0, 0];
  for (let j = 0; j < entries.length; j++) {
    if (j > first && sum + bytes[j]! > LOAD_BYTES) {
      ends.push(j);
      [first, sum] = [j, 0];
    }
    sum += bytes[j]!;
    most = Math.max(most, sum);
    width = Math.max(width, j + 1 - first);
  }
  if (entries.length > 0) ends.push(entries.length);
  return { ends, most, width };
}

/** Bytes of the arena that a pass takes: columns that take turns with their bounds, and what the threads have. */
export function bytesOfPass({ sizes, segments, threads }: StoredColumns, scratchBytes: number): number {
  const { most, width } = rangesOf(sizes);
  const bounds = 4 * (PARTS_A_THREAD * threads.size + 1);
  return 2 * (tableBytes(width, segments.length) + most + bounds + SLACK) + threads.size * scratchBytes;
}

/** Hears of a pass. */
interface PassListener {
  readonly report?: Report | undefined;
  /** The columns of the items first … last − 1 are through. */
  readonly done?: (first: number, last: number) => void;
}

/**
 * One pass over all columns: `kernel` runs on those that are loaded, while the next ones are. `argsOf` gets the kernels'
 * `Encoded` record of some columns, the bounds of their parts, and the items first … last − 1 that they are.
 */
export function pass<K extends 'sweepStored' | 'sweepStoredSums' | 'squaresStored' | 'pruneStored'>(
  { arena, threads, segments, sizes, items }: StoredColumns,
  kernel: K,
  scratch: ReturnType<typeof encodedScratch>,
  argsOf: (
    record: number,
    bounds: number,
    first: number,
    last: number,
  ) => Parameters<Threads['run']>[0]['args'],
  { report = () => {}, done = () => {} }: PassListener = {},
): void {
  const mark = arena.mark();
  const { ends, most, width } = rangesOf(sizes);
  const turns = [0, 1].map(() => ({
    columns: openColumns(arena, segments, width, most, items, scratch.fields),
    bounds: arena.bytes(4 * (PARTS_A_THREAD * threads.size + 1), 'columns of G'),
  }));
  const threadScratch = arena.zeros(scratch.bytes * threads.size, 'sums of a thread');
  const tasks = PARTS_A_THREAD * threads.size;
  const prepare = (r: number): void => {
    if (r === ends.length) return;
    const { columns, bounds } = turns[r % 2]!;
    const [first, last] = [ends[r - 1] ?? 0, ends[r]!];
    loadRange(arena, segments, columns, first, last);
    cut(arena.i32(bounds, tasks + 1), sizes.entries.subarray(first, last));
  };
  prepare(0);
  for (const [r, end] of ends.entries()) {
    const { columns, bounds } = turns[r % 2]!;
    const first = ends[r - 1] ?? 0;
    const job = { tasks, scratch: threadScratch, scratchBytes: scratch.bytes };
    threads.start({ ...job, kernel, args: argsOf(columns.record, bounds, first, end) } as Parameters<
      typeof threads.start<TaskKernel>
    >[0]);
    try {
      prepare(r + 1);
    } finally {
      threads.join();
    }
    done(first, end);
    report(end / items.n);
  }
  arena.release(mark);
}

/** Cuts columns into parts of about as many entries: `bounds` is one longer than there are parts. */
function cut(bounds: Int32Array, entries: Float64Array): void {
  const parts = bounds.length - 1;
  const total = entries.reduce((a, b) => a + b, 0);
  bounds[0] = 0;
  for (let t = 1, c = 0, sum = 0; t <= parts; t++) {
    while (c < entries.length && (t === parts || sum < (total * t) / parts)) sum += entries[c++]!;
    bounds[t] = c;
  }
}
