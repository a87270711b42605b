import { StageError } from '../errors.js';
import type { Address, Arena } from '../kernels.js';
import type { Threads } from '../threads.js';
import type { RowChanges } from './rows.js';
import { changeTerms, type WeightChanges } from './terms.js';

/**
 * Consecutive whole columns of a segment: column `first + c` has `lengths[c]` entries, one column after the other, rows
 * ascending, no zeros. The arrays are views into the arena and hold only until the callback returns.
 */
export interface ColumnBlock {
  readonly first: number;
  readonly lengths: Int32Array;
  readonly indices: Int32Array;
  readonly values: Int32Array | Float64Array;
}

/** Entries in a buffer of columns, unless a single column needs more. */
const BUFFER_ENTRIES = 1 << 17;
/** Entries that the kernels may write behind the last one, to do without a branch. */
export const SPARE = 1;
const BUFFERS_A_THREAD = 4;

/** Bytes of a thread's n sums, their rowset and its base: see the kernels `sparse` and `outer`. */
export function scratchBytesOf(n: number, valueBytes: 4 | 8): number {
  const groups = Math.ceil(n / 256);
  return 64 * (Math.ceil((valueBytes * n) / 64) + 4 * groups + Math.ceil(groups / 64) + 1);
}

/**
 * ΔG = X'ᵀW'X' − XᵀWX of changed rows, handed to `write` block by block in order; returns the pairs visited and the
 * entries written. Both triangles are there. Exact: throws `OVERFLOW` where a sum may reach 2⁵³.
 */
export function rowUpdate(
  arena: Arena,
  threads: Threads,
  changes: RowChanges,
  write: (block: ColumnBlock) => void,
  weights?: WeightChanges,
): { pairs: number; entries: number } {
  const mark = arena.mark();
  const { n } = changes.after;
  const terms = changeTerms(arena, changes, weights);
  if (terms.bound > Number.MAX_SAFE_INTEGER) {
    throw new StageError('OVERFLOW', `a Gramian sum may reach ${terms.bound}, expected less than 2^53`);
  }
  const wide = terms.bound > 0x7fffffff;
  const useBase = terms.ones && terms.bound < 2 ** 29;
  const valueBytes = wide ? 8 : 4;

  const most = arena.f64(arena.bytes(8 * n, 'blocks'), n);
  const work = arena.f64(terms.work, n);
  let capacity = BUFFER_ENTRIES;
  for (let j = 0; j < n; j++) {
    most[j] = Math.min(work[j]!, n);
    capacity = Math.max(capacity, most[j]!);
  }
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const blocks = arena.kernels.blocks!(n, most.byteOffset, 0, BUFFER_ENTRIES, n, bounds);
  const bound = arena.i32(bounds, n + 1);
  const buffers = Math.min(blocks, BUFFERS_A_THREAD * threads.size);
  const lengths: Address[] = [];
  const indices: Address[] = [];
  const values: Address[] = [];
  for (let b = 0; b < buffers; b++) {
    lengths.push(arena.bytes(4 * n, 'columns of a segment'));
    indices.push(arena.bytes(4 * (capacity + SPARE), 'columns of a segment'));
    values.push(arena.bytes(valueBytes * (capacity + SPARE), 'columns of a segment'));
  }
  const fields = lengths.flatMap((l, b) => [l, indices[b]!, values[b]!]);
  const out = arena.record(fields.length > 0 ? fields : [0], 'columns of a segment');
  const scratchBytes = scratchBytesOf(n, valueBytes);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');

  let entries = 0;
  for (let first = 0; first < blocks; first += buffers) {
    const tasks = Math.min(buffers, blocks - first);
    const args = [n, terms.left, terms.right, bounds, first, out];
    if (useBase) args.push(terms.bound + 1);
    const kernel = useBase ? 'outerOnes' : wide ? 'outerF64' : 'outerI32';
    threads.run({ kernel, tasks, args, scratch, scratchBytes });
    for (let b = 0; b < tasks; b++) {
      const lo = bound[first + b]!;
      const length = arena.i32(lengths[b]!, bound[first + b + 1]! - lo);
      const count = length.reduce((x, y) => x + y, 0);
      entries += count;
      const at = values[b]!;
      write({
        first: lo,
        lengths: length,
        indices: arena.i32(indices[b]!, count),
        values: wide ? arena.f64(at, count) : arena.i32(at, count),
      });
    }
  }
  arena.release(mark);
  return { pairs: terms.pairs, entries };
}
