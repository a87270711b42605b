import { StageError } from '../errors.js';
import type { RowChanges } from '../matrix/rows.js';
import { type Address, type Arena, fitsInt32 } from '../runtime/arena.js';
import { records } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import { changeTerms } from './terms.js';
import type { WeightChanges } from './weights.js';

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
const SPARE = 3;
const BUFFERS_A_THREAD = 4;

/** Bytes of a thread's n sums, their rowset and its base: see the kernels `sparse` and `outer`. */
export function scratchBytesOf(n: number, valueBytes: 4 | 8): number {
  const groups = Math.ceil(n / 256);
  return 64 * (Math.ceil((valueBytes * n) / 64) + 4 * groups + Math.ceil(groups / 64) + 1);
}

/** What a thread takes beside its buffers (measured). */
const ISOLATE_BYTES = 6 * 2 ** 20;

/**
 * Threads, at most `threads`, whose buffers fit into `memoryBytes` beside the changed rows and both copies of them in the
 * arena; one at least. Sums and blocks do not depend on it.
 */
export function updateThreads({ before, after }: RowChanges, threads: number, memoryBytes: number): number {
  const rows = 12 * (before.indices.length + after.indices.length);
  const buffers = 2 * BUFFERS_A_THREAD * 8 * BUFFER_ENTRIES;
  const each = buffers + scratchBytesOf(after.n, 4) + ISOLATE_BYTES;
  return Math.max(1, Math.min(threads, Math.floor((memoryBytes - rows) / each)));
}

/** A row update that is about to be made. */
export interface RowUpdate {
  /** Pairs that it visits. */
  readonly pairs: number;
  /** Hands the columns of ΔG to `write`, block by block in order; returns the number of entries. Once only. */
  run(write: (block: ColumnBlock) => void): number;
}

/** Blocks of whole columns, `buffers` of which are made at a time: block b has the columns bound[b] … bound[b + 1] − 1. */
interface Cut {
  readonly blocks: number;
  readonly buffers: number;
  readonly bounds: Address;
  readonly bound: Int32Array;
  /** Entries of the largest block at most. */
  readonly room: number;
}

/** Cuts the columns into blocks of about `BUFFER_ENTRIES`; `work` tells the pairs that each column adds up. */
function cutColumns(arena: Arena, threads: Threads, n: number, work: Float64Array): Cut {
  const most = arena.f64(arena.bytes(8 * n, 'blocks'), n);
  let room = BUFFER_ENTRIES;
  for (let j = 0; j < n; j++) {
    most[j] = Math.min(work[j]!, n);
    room = Math.max(room, most[j]!);
  }
  const bounds = arena.bytes(4 * (n + 1), 'blocks');
  const blocks = arena.kernels.blocks(n, most.byteOffset, 0, BUFFER_ENTRIES, n, bounds);
  const buffers = Math.min(blocks, BUFFERS_A_THREAD * threads.size);
  return { blocks, buffers, bounds, bound: arena.i32(bounds, n + 1), room };
}

/** Room for the blocks that are made at a time. */
function bufferSet(arena: Arena, n: number, { buffers, room }: Cut, valueBytes: 4 | 8) {
  const set = Array.from({ length: buffers }, () => ({
    lengths: arena.bytes(4 * n, 'columns of a segment'),
    indices: arena.bytes(4 * (room + SPARE), 'columns of a segment'),
    values: arena.bytes(valueBytes * (room + SPARE), 'columns of a segment'),
  }));
  return { set, out: records(arena, 'Columns', set, 'columns of a segment') };
}

/**
 * ΔG = X'ᵀW'X' − XᵀWX of changed rows, both triangles. While the caller of `run` writes one set of blocks, the other
 * threads make the next. Its buffers stay in the arena. Exact: throws `OVERFLOW` where a sum may reach 2⁵³.
 */
export function rowUpdate(
  arena: Arena,
  threads: Threads,
  changes: RowChanges,
  weights?: WeightChanges,
): RowUpdate {
  const { n } = changes.after;
  const terms = changeTerms(arena, changes, weights);
  if (terms.bound > Number.MAX_SAFE_INTEGER) {
    throw new StageError('OVERFLOW', `a Gramian sum may reach ${terms.bound}, expected less than 2^53`);
  }
  const wide = !fitsInt32(terms.bound);
  const useBase = terms.ones && terms.bound < 2 ** 29;
  const valueBytes = wide ? 8 : 4;
  const cut = cutColumns(arena, threads, n, arena.f64(terms.work, n));
  const { blocks, buffers, bounds, bound } = cut;
  const sets = Array.from({ length: blocks > buffers ? 2 : 1 }, () => bufferSet(arena, n, cut, valueBytes));
  const scratchBytes = scratchBytesOf(n, valueBytes);
  const scratch = arena.zeros(scratchBytes * threads.size, 'sums of a thread');
  const setAt = (first: number) => sets[(first / buffers) % sets.length]!;

  /** Lets the threads make the blocks from `first` on. */
  function begin(first: number): void {
    const args = [n, terms.left, terms.right, bounds, first, setAt(first).out] as const;
    const job = { tasks: Math.min(buffers, blocks - first), scratch, scratchBytes };
    if (useBase) threads.start({ ...job, kernel: 'outerOnes', args: [...args, terms.bound + 1] });
    else threads.start({ ...job, kernel: wide ? 'outerF64' : 'outerI32', args });
  }

  function run(write: (block: ColumnBlock) => void): number {
    let entries = 0;
    if (blocks > 0) begin(0);
    for (let first = 0; first < blocks; first += buffers) {
      threads.join();
      if (first + buffers < blocks) begin(first + buffers);
      const { set } = setAt(first);
      for (let b = first; b < Math.min(blocks, first + buffers); b++) {
        const at = set[b - first]!;
        const lengths = arena.i32(at.lengths, bound[b + 1]! - bound[b]!);
        const count = lengths.reduce((x, y) => x + y, 0);
        entries += count;
        const values = wide ? arena.f64(at.values, count) : arena.i32(at.values, count);
        write({ first: bound[b]!, lengths, indices: arena.i32(at.indices, count), values });
      }
    }
    return entries;
  }
  return { pairs: terms.pairs, run };
}
