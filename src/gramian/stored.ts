import { StageError } from '../errors.js';
import type { Gramian } from './columns.js';
import { openSegment, type Segment } from './segment.js';
import type { ColumnBlock } from './update.js';

/** Entries, over all segments, that a block of columns is allowed to hold in memory. */
const blockEntries = 1 << 20;

/**
 * Σ_s S_s over columns `first … last − 1`: sparse addition with a dense accumulator, zeros left out. With
 * `signs`, segment s is multiplied by `signs[s]` (−1 subtracts).
 */
function addBlocks(
  blocks: readonly ColumnBlock[],
  n: number,
  signs: readonly number[],
  acc: Float64Array,
): ColumnBlock {
  const columns = blocks[0]!.indptr.length - 1;
  const seen = new Uint8Array(n);
  const touched = new Int32Array(n);
  const total = blocks.reduce((sum, b) => sum + b.indices.length, 0);
  const indices = new Int32Array(total);
  const values = new Float64Array(total);
  const indptr = new Float64Array(columns + 1);
  let nnz = 0;
  for (let c = 0; c < columns; c++) {
    let count = 0;
    blocks.forEach(({ indptr: Sp, indices: Si, values: Sx }, s) => {
      for (let e = Sp[c]!; e < Sp[c + 1]!; e++) {
        const i = Si[e]!;
        if (seen[i] === 0) {
          seen[i] = 1;
          touched[count++] = i;
        }
        acc[i]! += signs[s]! * Sx[e]!;
      }
    });
    const column = touched.subarray(0, count).sort();
    for (let k = 0; k < count; k++) {
      const i = column[k]!;
      if (acc[i] !== 0) {
        indices[nnz] = i;
        values[nnz++] = acc[i]!;
      }
      acc[i] = 0;
      seen[i] = 0;
    }
    indptr[c + 1] = nnz;
  }
  return {
    first: blocks[0]!.first,
    indptr,
    indices: indices.subarray(0, nnz),
    values: values.subarray(0, nnz),
  };
}

/** Columns `first … last − 1` of a segment that may be narrower than n: columns behind its width are empty. */
function readPadded(segment: Segment, first: number, last: number): ColumnBlock {
  const end = Math.min(last, segment.n);
  if (first >= end) {
    return {
      first,
      indptr: new Float64Array(last - first + 1),
      indices: new Int32Array(0),
      values: new Float64Array(0),
    };
  }
  const block = segment.read(first, end);
  if (end === last) return block;
  const indptr = new Float64Array(last - first + 1).fill(block.indices.length);
  indptr.set(block.indptr);
  return { ...block, indptr };
}

/** The sum of segments, block by block in ascending columns: what compaction writes and a fit reads. */
export function* sumSegments(
  segments: readonly Segment[],
  n: number,
  signs: readonly number[] = segments.map(() => 1),
): Generator<ColumnBlock> {
  const acc = new Float64Array(n);
  for (let first = 0; first < n; ) {
    let last = first;
    for (let entries = 0; last < n && entries < blockEntries; last++) {
      for (const s of segments) if (last < s.n) entries += s.indptr[last + 1]! - s.indptr[last]!;
    }
    const blocks = segments.map(s => readPadded(s, first, last));
    if (blocks.length > 0) yield addBlocks(blocks, n, signs, acc);
    first = last;
  }
}

/** Refuses sums that float64 no longer holds exactly. */
export function assertExact(block: ColumnBlock): ColumnBlock {
  for (const v of block.values) {
    if (Math.abs(v) > Number.MAX_SAFE_INTEGER) {
      throw new StageError('OVERFLOW', `Gramian column in block ${block.first}: entry ${v} is beyond 2^53`);
    }
  }
  return block;
}

/** G as the sum of segment files. `n` may exceed the width of older segments. */
export function storedGramian(paths: readonly string[], n: number, scale: number): Gramian {
  const segments = paths.map(openSegment);
  const diagonal = new Float64Array(n);
  const norms = new Float64Array(n);
  let scanned = false;
  const scan = (): void => {
    if (scanned) return;
    for (const block of sumSegments(segments, n)) {
      const { first, indptr, indices, values } = assertExact(block);
      for (let c = 0; c + 1 < indptr.length; c++) {
        let norm = 0;
        for (let e = indptr[c]!; e < indptr[c + 1]!; e++) {
          norm += values[e]! * values[e]!;
          if (indices[e] === first + c) diagonal[first + c] = values[e]!;
        }
        norms[first + c] = norm;
      }
    }
    scanned = true;
  };
  return {
    n,
    scale,
    diagonal() {
      scan();
      return diagonal;
    },
    squaredNorms() {
      scan();
      return norms;
    },
    lower(order) {
      const position = new Int32Array(n);
      order.forEach((j, k) => {
        position[j] = k;
      });
      const acc = new Float64Array(n);
      return {
        column(k, indices, values) {
          const j = order[k]!;
          const blocks = segments.map(s => readPadded(s, j, j + 1));
          if (blocks.length === 0) return 0;
          const sum =
            blocks.length === 1
              ? blocks[0]!
              : addBlocks(
                  blocks,
                  n,
                  segments.map(() => 1),
                  acc,
                );
          let count = 0;
          for (let e = 0; e < sum.indices.length; e++) {
            const i = position[sum.indices[e]!]!;
            if (i <= k) continue;
            indices[count] = i;
            values[count++] = sum.values[e]!;
          }
          return count;
        },
      };
    },
    close() {
      for (const s of segments) s.close();
    },
  };
}
