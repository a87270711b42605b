import { openSegmentWriter, type Segment, type SegmentFile } from '#src/gramian/segment.js';
import type { ColumnBlock } from '#src/gramian/update.js';
import { Arena } from '#src/runtime/arena.js';
import { build, type Dense } from './dense.js';

/** A dense n × n matrix from blocks of columns; checks that they cover 0 … n − 1 in order, sorted, without zeros. */
export function fromBlocks(blocks: Iterable<ColumnBlock>, n: number): Dense {
  const G = build(n, n, () => 0);
  let column = 0;
  for (const { first, lengths, indices, values } of blocks) {
    if (first !== column) throw new Error(`expected a block from column ${column}, found ${first}`);
    let e = 0;
    for (const length of lengths) {
      for (let last = -1, end = e + length; e < end; last = indices[e++]!) {
        if (indices[e]! <= last) throw new Error(`column ${column} is not ascending`);
        if (values[e] === 0) throw new Error(`column ${column} holds a zero`);
        G[indices[e]!]![column] = values[e]!;
      }
      column++;
    }
  }
  if (column !== n && n > 0) throw new Error(`expected ${n} columns, found ${column}`);
  return G;
}

/** Columns `first … last − 1` of an open segment, checked as `fromBlocks` does. */
export function columnsOfSegment(segment: Segment, first: number, last: number): ColumnBlock {
  const lengths = Int32Array.from(
    { length: last - first },
    (_, c) => segment.indptr[first + c + 1]! - segment.indptr[first + c]!,
  );
  return { first, lengths, ...segment.read(first, last) };
}

/** A dense matrix as one block of columns in the arena. */
export function toBlock(arena: Arena, G: Dense, wide = false): ColumnBlock {
  const n = G.length;
  const columns = Array.from({ length: n }, (_, j) => [...G.keys()].filter(i => G[i]![j] !== 0));
  const values = columns.flatMap((rows, j) => rows.map(i => G[i]![j]!));
  const place = (array: Int32Array | Float64Array) => arena.copy(array, 'a test');
  const lengths = Int32Array.from(columns, rows => rows.length);
  const indices = arena.i32(place(Int32Array.from(columns.flat())), values.length);
  const data = wide
    ? arena.f64(place(Float64Array.from(values)), values.length)
    : arena.i32(place(Int32Array.from(values)), values.length);
  return { first: 0, lengths, indices, values: data };
}

/** Writes a dense matrix as a segment, with room for `spare` entries more. */
export function writeDense(
  directory: string,
  G: Dense,
  { wide = false, scale = 1, spare = 0 } = {},
): SegmentFile {
  const arena = new Arena();
  const nnz = G.flat().filter(v => v !== 0).length;
  const writer = openSegmentWriter(arena, directory, G.length, scale, nnz + spare);
  try {
    writer.write(toBlock(arena, G, wide));
    return writer.finish();
  } finally {
    writer.close();
  }
}
