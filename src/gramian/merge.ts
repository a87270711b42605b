import { Arena } from '../runtime/arena.js';
import { openIntactSegments, type SegmentFile } from './segment.js';
import { openSegmentWriter } from './segment-writer.js';
import { sumReader } from './sum.js';

/** Entries that are renamed at a time, unless a single column has more. */
const blockEntries = 1 << 18;

/** The items of several states in one numbering. */
export interface MergedItems {
  readonly keys: readonly string[];
  /** For each state, the common id of each of its items. */
  readonly ids: readonly Int32Array[];
}

/** Numbers the union of the states' items: the first state's keep their ids, the others' new ones follow. */
export function mergeItems(states: readonly (readonly string[])[]): MergedItems {
  const numbers = new Map<string, number>();
  const number = (key: string): number => {
    const known = numbers.get(key) ?? numbers.size;
    numbers.set(key, known);
    return known;
  };
  const ids = states.map(keys => Int32Array.from(keys, number));
  return { keys: [...numbers.keys()], ids };
}

/**
 * Writes the segment at `path` with item i renamed to `ids[i]`, n × n, into `directory`: P S Pᵀ. Sums of renamed
 * segments are the renamed sum, so the segments of states with disjoint users add up to the Gramian of all.
 */
export function renameItems(path: string, ids: Int32Array, n: number, directory: string): SegmentFile {
  const arena = new Arena();
  const segment = openIntactSegments(arena, [path])[0]!;
  const writer = openSegmentWriter(arena, directory, n, segment.scale, segment.userWeighting);
  const columns = sumReader(arena, [segment], segment.n);
  const lengthOf = new Int32Array(n);
  segment.columns.forEach((i, k) => {
    lengthOf[ids[i]!] = segment.lengths[k]!;
  });
  const source = new Int32Array(n).fill(-1);
  for (let i = 0; i < segment.n; i++) source[ids[i]!] = i;
  try {
    for (let first = 0; first < n; ) {
      let [last, entries] = [first, 0];
      while (last < n && (last === first || entries + lengthOf[last]! <= blockEntries))
        entries += lengthOf[last++]!;
      const mark = arena.mark();
      const indices = arena.i32(arena.bytes(4 * entries, 'renamed columns'), entries);
      const values = arena.f64(arena.bytes(8 * entries, 'renamed columns'), entries);
      for (let j = first, at = 0; j < last; at += lengthOf[j++]!) {
        if (lengthOf[j] === 0) continue;
        const top = arena.mark();
        const column = columns.range(source[j]!, source[j]! + 1);
        const rows = column.indices.map(i => ids[i]!);
        const order = Uint32Array.from(rows.keys()).sort((a, b) => rows[a]! - rows[b]!);
        order.forEach((e, k) => {
          indices[at + k] = rows[e]!;
          values[at + k] = column.values[e]!;
        });
        arena.release(top);
      }
      writer.write({ first, lengths: lengthOf.subarray(first, last), indices, values });
      arena.release(mark);
      first = last;
    }
    return writer.finish();
  } finally {
    writer.close();
    segment.close();
  }
}
