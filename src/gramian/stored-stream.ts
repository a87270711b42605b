import type { Report, StreamTaker } from './columns.js';
import {
  encodedScratch,
  LOAD_BYTES,
  loadItems,
  openColumns,
  type StoredColumns,
  tableBytes,
} from './encoded.js';
import { handOver, openRing, ringRoom } from './ring.js';

/** The kernels' number of an encoded G. */
const STORED = 4;

/** Bytes of a stream of n columns, of which `loaded` bytes are in the arena at least. */
export const streamRoom = (n: number, threads: number, loaded: number, scratchBytes: number): number =>
  ringRoom(n, threads, false) + 2 * loaded + threads * scratchBytes;

/** A number above every entry of a Gramian with this diagonal. */
export const strideOf = (diagonal: Float64Array): number => diagonal.reduce((a, b) => Math.max(a, b), 1) + 1;

/**
 * See `ArrangedGramian.stream`. As many columns as there is memory for lie in the arena, encoded, best all of them: they
 * are wanted by position and lie by item. The other threads decode blocks of them ahead of the calling one.
 */
export function streamStored(
  { arena, threads, segments, sizes, items }: StoredColumns,
  diagonal: Float64Array,
  to: StreamTaker,
  report: Report = () => {},
): boolean {
  const { n } = items;
  const mark = arena.mark();
  const order = arena.i32(items.order, n);
  const sized = (by: Float64Array) => Float64Array.from(order, item => by[item]!);
  const ring = openRing(arena, threads, sized(sizes.entries), { stride: strideOf(diagonal), kind: STORED });
  const scratch = encodedScratch(n, sizes.longest, segments.length, false, 0);
  const scratchAt = arena.zeros(scratch.bytes * threads.size, 'sums of a thread');
  const bytes = sized(sizes.bytes);
  // what is encoded as it is read takes as much again, and the loader keeps lists of n outside
  const left = arena.limit - arena.mark() - tableBytes(n, segments.length) - 32 * n;
  const batches = batchesOf(bytes, ring.bounds, Math.max(LOAD_BYTES, left / 2));
  const columns = openColumns(arena, segments, batches.width, batches.most, items, scratch.fields);
  const production = { source: columns.record, scratch: scratchAt, scratchBytes: scratch.bytes };
  let ok = true;
  for (let b = 0, from = 0; ok && b < batches.ends.length; from = batches.ends[b++]!) {
    const end = batches.ends[b]!;
    const [lo, hi] = [ring.bounds[from]!, ring.bounds[end]!];
    loadItems(arena, segments, columns, order.subarray(lo, hi), lo);
    ok = handOver(arena, threads, ring, [from, end], production, to, report);
  }
  arena.release(mark);
  return ok;
}

/** Cuts the blocks of a ring into runs of at most `room` bytes: where each ends, and the most bytes and columns of one. */
function batchesOf(bytes: Float64Array, bounds: Int32Array, room: number) {
  const ends: number[] = [];
  let [sum, most, width, first] = [0, 0, 0, 0];
  for (let b = 0; b + 1 < bounds.length; b++) {
    const block = bytes.subarray(bounds[b]!, bounds[b + 1]!).reduce((x, y) => x + y, 0);
    if (b > 0 && sum + block > room) {
      ends.push(b);
      [sum, first] = [0, bounds[b]!];
    }
    sum += block;
    most = Math.max(most, sum);
    width = Math.max(width, bounds[b + 1]! - first);
  }
  if (bounds.length > 1) ends.push(bounds.length - 1);
  return { ends, most, width };
}
