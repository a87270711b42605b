import { type Address, type Arena, aligned } from '../runtime/arena.js';
import { record, write } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Segment } from './segment.js';
import { encodedBytes } from './segment-content.js';

/** Bytes of the columns that are loaded at a time, unless a single one has more. */
export const LOAD_BYTES = 1 << 22;
/** Entries that a list has to spare: it is written one ahead. */
const SPARE = 16;
/** Bytes that the kernels may read behind a column. */
const BEHIND = 16;
/** Bytes of the kernels' tables of lengths: see `lengthTables`. */
const LENGTH_TABLES = 256 * 17;

/** The place in the arena of some columns of all segments; see the kernels' `Encoded`. */
export interface EncodedColumns {
  readonly record: Address;
  /** Entries of each column at most, and their bytes. */
  readonly at: Address;
  readonly counts: Address;
  readonly data: Address;
}

/** Sizes of the columns of Σ S_s, by item. */
export interface ColumnSizes {
  /** Entries of each over all segments, n at most: the sum has no more. */
  readonly entries: Float64Array;
  readonly bytes: Float64Array;
  readonly longest: number;
}

/** The segments of a Gramian, and their items by position. */
export interface StoredColumns {
  readonly arena: Arena;
  readonly threads: Threads;
  readonly segments: readonly Segment[];
  readonly sizes: ColumnSizes;
  readonly items: ItemOrder;
}

/** The order of n items in the arena, I32[n] each. */
export interface ItemOrder {
  readonly n: number;
  /** The position of each item. */
  readonly place: Address;
  /** The item at each position. */
  readonly order: Address;
  /** The last item of a position behind each: no later row of a column is wanted; −1 behind all. */
  readonly limits: Address;
}

/** Bytes of an order of n items. */
export const orderBytes = (n: number): number => 3 * aligned(4 * n);

/** The order that takes item i to `positions[i]`, on top of the arena. */
export function placeItems(arena: Arena, positions: Int32Array): ItemOrder {
  const { length: n } = positions;
  const order = new Int32Array(n);
  for (let item = 0; item < n; item++) order[positions[item]!] = item;
  const limits = new Int32Array(n);
  for (let j = n - 1, last = -1; j >= 0; last = Math.max(last, order[j--]!)) limits[j] = last;
  const what = 'the order of the items';
  const copy = (array: Int32Array) => arena.copy(array, what);
  return { n, place: copy(positions), order: copy(order), limits: copy(limits) };
}

/** The sizes of the columns of `segments`, which may be narrower than n. */
export function columnSizes(segments: readonly Segment[], n: number): ColumnSizes {
  const entries = new Float64Array(n);
  const bytes = new Float64Array(n);
  for (const { columns, lengths, offsets } of segments) {
    for (let k = 0; k < columns.length; k++) {
      entries[columns[k]!]! += lengths[k]!;
      bytes[columns[k]!]! += offsets[k + 1]! - offsets[k]!;
    }
  }
  for (let j = 0; j < n; j++) entries[j] = Math.min(n, entries[j]!);
  return { entries, bytes, longest: entries.reduce((a, b) => Math.max(a, b), 0) };
}

/**
 * Scratch of a thread: where its parts begin, and its size. Sums, of other than one segment, take three buffers. `dense`
 * sums by row, and their base, are there for those who want them.
 */
export function encodedScratch(n: number, longest: number, segments: number, dense: boolean, tail: number) {
  const most = longest + SPARE;
  const denseAt = aligned(12 * most);
  const buffersAt = denseAt + aligned(dense ? 64 + 8 * n : 0);
  const buffer = 64 + 12 * most;
  const tailAt = aligned(buffersAt + (segments === 1 ? buffer : 3 * buffer));
  const bytes = aligned(tailAt + tail);
  return { fields: { most, dense: denseAt, buffers: buffersAt, tail: tailAt }, bytes };
}

/** Bytes that `width` columns of so many segments take beside what is loaded of them. */
export const tableBytes = (width: number, segments: number): number =>
  aligned(LENGTH_TABLES) + 2 * aligned(4 * width * Math.max(1, segments)) + BEHIND;

/** Bytes of the columns of n items that are loaded at a time, of files of so many bytes: what is loaded, and what goes with it. */
export const loadedBytes = (n: number, files: readonly number[]): number =>
  Math.max(
    LOAD_BYTES,
    files.reduce((sum, bytes) => sum + Math.min(bytes, encodedBytes(n)), 0),
  ) + tableBytes(n, files.length);

/** Room for up to `width` columns of `bytes` in all. */
export function openColumns(
  arena: Arena,
  segments: readonly Segment[],
  width: number,
  bytes: number,
  { place: positions, limits }: Pick<ItemOrder, 'place' | 'limits'>,
  fields: ReturnType<typeof encodedScratch>['fields'],
): EncodedColumns {
  const tables = arena.bytes(LENGTH_TABLES, 'columns of G');
  const at = arena.bytes(4 * width * segments.length, 'columns of G');
  const counts = arena.bytes(4 * width * segments.length, 'columns of G');
  const data = arena.bytes(bytes + BEHIND, 'columns of G');
  arena.kernels.lengthTables(tables);
  const place = { segments: segments.length, width: 0, first: 0, tables, positions, limits, at, counts };
  return { record: record(arena, 'Encoded', { ...place, ...fields }, 'columns of G'), at, counts, data };
}

/** Loads the columns of the items first … last − 1; each follows the one before it in the files. */
export function loadRange(
  arena: Arena,
  segments: readonly Segment[],
  to: EncodedColumns,
  first: number,
  last: number,
): void {
  const width = last - first;
  const at = arena.i32(to.at, width * segments.length);
  const counts = arena.i32(to.counts, width * segments.length).fill(0);
  let next = to.data;
  for (const [s, segment] of segments.entries()) {
    const { columns, lengths, offsets } = segment;
    const from = lowerBound(columns, first);
    const end = lowerBound(columns, last);
    for (let k = from; k < end; k++) {
      const c = s * width + columns[k]! - first;
      at[c] = next + offsets[k]! - offsets[from]!;
      counts[c] = lengths[k]!;
    }
    segment.load(arena, from, end, next);
    next += offsets[end]! - offsets[from]!;
  }
  write(arena, 'Encoded', to.record, { width, first });
}

/** Loads the columns of `items`, the positions `first` and on; what is together in a file is read in one go. */
export function loadItems(
  arena: Arena,
  segments: readonly Segment[],
  to: EncodedColumns,
  items: Int32Array,
  first: number,
): void {
  const width = items.length;
  const at = arena.i32(to.at, width * segments.length);
  const counts = arena.i32(to.counts, width * segments.length).fill(0);
  const placeOf = new Int32Array(columnsUpTo(segments)).fill(-1); // of each item that is wanted
  for (let c = 0; c < width; c++) placeOf[items[c]!] = c;
  let next = to.data;
  for (const [s, segment] of segments.entries()) {
    const { columns, lengths, offsets } = segment;
    let [from, end] = [0, 0];
    const flush = () => {
      segment.load(arena, from, end, next);
      next += offsets[end]! - offsets[from]!;
    };
    for (let k = 0; k < columns.length; k++) {
      const place = placeOf[columns[k]!]!;
      if (place === -1) continue;
      if (k !== end) {
        flush();
        from = k;
      }
      const c = s * width + place;
      at[c] = next + offsets[k]! - offsets[from]!;
      counts[c] = lengths[k]!;
      end = k + 1;
    }
    flush();
  }
  write(arena, 'Encoded', to.record, { width, first });
}

/** 1 + the last item that has a column. */
const columnsUpTo = (segments: readonly Segment[]): number =>
  segments.reduce((most, { columns }) => Math.max(most, 1 + (columns[columns.length - 1] ?? -1)), 0);

/** The first place in ascending `columns` that is not below `item`. */
function lowerBound(columns: Int32Array, item: number): number {
  let [lo, hi] = [0, columns.length];
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (columns[middle]! < item) lo = middle + 1;
    else hi = middle;
  }
  return lo;
}
