import { Arena, fitsInt32 } from '../runtime/arena.js';
import { openIntactSegments, openSegmentWriter, type SegmentFile } from './segment.js';

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
  const writer = openSegmentWriter(arena, directory, n, segment.scale, segment.nnz, segment.userWeighting);
  const source = new Int32Array(n).fill(-1);
  for (let i = 0; i < segment.n; i++) source[ids[i]!] = i;
  const lengthOf = (j: number): number =>
    source[j]! < 0 ? 0 : segment.indptr[source[j]! + 1]! - segment.indptr[source[j]!]!;
  try {
    for (let first = 0; first < n; ) {
      let [last, entries] = [first, 0];
      while (last < n && (last === first || entries + lengthOf(last) <= blockEntries))
        entries += lengthOf(last++);
      const indices = new Int32Array(entries);
      const values = new Float64Array(entries);
      const lengths = Int32Array.from({ length: last - first }, (_, c) => lengthOf(first + c));
      for (let j = first, at = 0; j < last; at += lengthOf(j++)) {
        if (lengthOf(j) === 0) continue;
        const column = segment.read(source[j]!, source[j]! + 1);
        const rows = column.indices.map(i => ids[i]!);
        const order = Uint32Array.from(rows.keys()).sort((a, b) => rows[a]! - rows[b]!);
        order.forEach((e, k) => {
          indices[at + k] = rows[e]!;
          values[at + k] = column.values[e]!;
        });
      }
      const mark = arena.mark();
      const place = (array: Int32Array | Float64Array) => arena.copy(array, 'renamed columns');
      writer.write({
        first,
        lengths,
        indices: arena.i32(place(indices), entries),
        values: fitsInt32(segment.largest)
          ? arena.i32(place(Int32Array.from(values)), entries)
          : arena.f64(place(values), entries),
      });
      arena.release(mark);
      first = last;
    }
    return writer.finish();
  } finally {
    writer.close();
    segment.close();
  }
}
