import { Arena } from '../runtime/arena.js';
import { openIntactSegments } from './segment.js';
import { sumReader } from './sum.js';
import { unitsOf } from './weights.js';

/** Consecutive entries of G, columns ascending and rows ascending in each. */
export interface EntryBlock {
  readonly first: number;
  /** Entries of each column from `first` on. */
  readonly lengths: Int32Array;
  readonly rows: Int32Array;
  /** G_ij as numbers, no longer in fixed point. */
  readonly values: Float64Array;
}

/** All of G = XᵀWX, to be read as often as one likes. */
export interface GramianEntries {
  readonly n: number;
  /** Nonzero entries, of both triangles. */
  readonly entries: number;
  /** One longer than n: where each column begins. */
  readonly indptr: BigInt64Array;
  /** In arrays that hold until the next block. */
  blocks(): Generator<EntryBlock>;
  close(): void;
}

/**
 * The sum of segment files, n × n, divided by `decay`, the weight of a pair of events of today. `STATE_CORRUPT` names a
 * file whose checksum is wrong.
 */
export function openEntries(paths: readonly string[], n: number, decay = 1): GramianEntries {
  const arena = new Arena();
  const segments = openIntactSegments(arena, paths);
  const { scale = 1, userWeighting = 0 } = segments[0] ?? {};
  const unit = unitsOf(scale, userWeighting) * decay;
  const { blocks } = sumReader(arena, segments, n);
  const indptr = new BigInt64Array(n + 1);
  for (const { first, lengths } of blocks()) {
    lengths.forEach((length, c) => {
      indptr[first + c + 1] = indptr[first + c]! + BigInt(length);
    });
  }
  return {
    n,
    entries: Number(indptr[n]),
    indptr,
    *blocks() {
      for (const { first, lengths, indices: rows, values } of blocks())
        yield { first, lengths, rows, values: Float64Array.from(values, v => v / unit) };
    },
    close() {
      for (const s of segments) s.close();
    },
  };
}
