import type { ArrangedGramian } from '../../gramian/columns.js';
import { bestBytes } from '../../matrix/scratch.js';
import { type RowsFile, rowsFileRoom } from '../../model/rows-file.js';
import type { RangedSolver, SolverContext, SolverSize } from '../solver.js';
import { type FsaiOptions, neighboursOf } from './options.js';
import {
  collect,
  fsaiWorkspace,
  isWide,
  openBlocks,
  rangeRowBytes,
  rowBytes,
  select,
  solveBytes,
  solveRows,
  writeRows,
} from './rows.js';
import { settingsOf } from './solve.js';

/** Whatever a part is rounded up to, and what little the parts of a thread take. */
const SLACK = 8192;

/**
 * SANSA by a factorized sparse approximate inverse whose rows are not in memory at once. A range of rows is finished before
 * the next one begins: G is streamed once for its patterns and once for its blocks. The rows are those of `solve`, bit for
 * bit, whatever the ranges, as none depends on another.
 */
function solve(context: SolverContext, options: FsaiOptions, to: RowsFile, bytes: number) {
  const { arena, threads, gramian, diagonal, positions, stage } = context;
  const { neighbours: m, l2, lambda } = settingsOf(context, options);
  const { n } = gramian;
  const mark = arena.mark();
  const order = arena.i32(arena.bytes(4 * n, 'the order of the items'), n);
  for (let i = 0; i < n; i++) order[positions[i]!] = i;
  const arranged = stage('scale', () => gramian.arrange(positions));
  const beside = arena.used + besideRange(n, m, threads.size, sweepBytes(m, arranged));
  const row = rangeRowBytes(m, isWide(diagonal));
  const most = Math.max(1, Math.min(n, Math.floor((bytes - beside) / row)));
  const f = fsaiWorkspace(arena, diagonal, positions, { neighbours: m, alpha: options.alpha }, most);
  const blocks = openBlocks(arena, f, diagonal, most);
  stage('factor', report => {
    for (let lo = 0; lo < n; lo += most) {
      const rows = Math.min(most, n - lo);
      const done = (part: number) => report((lo + part * rows) / n);
      select(arena, arranged, f, part => done(part / 2), lo, rows);
      collect(arena, arranged, blocks, lo, lo + rows, part => done((1 + part) / 2));
      solveRows(arena, threads, m, blocks, lambda);
      const lengths = arena.i32(f.counts, rows).map(count => count + 1);
      to.append(lengths, arena.f64(f.pivots, rows), (chunk, r) =>
        writeRows(arena, threads, f, order.byteOffset, r, chunk),
      );
    }
  });
  arena.release(mark);
  const ranges = Math.ceil(n / most);
  return { l2, details: { neighbours: m, readings: 2 * ranges, ranges } };
}

/** Bytes of the readings of a range, of which there is one at a time. */
const sweepBytes = (m: number, arranged: ArrangedGramian): number =>
  Math.max(
    arranged.sweepBytes({ listed: true, tailBytes: bestBytes(m) }),
    arranged.sweepBytes({ listed: false, tailBytes: 0 }),
  );

/** Bytes beside a range: of the rows and the blocks what does not grow with it, and what reads, solves or writes it. */
const besideRange = (n: number, m: number, threads: number, sweep: number): number =>
  rowBytes(n, m, 0) +
  4 * (n + 2) +
  Math.max(sweep, threads * solveBytes(m), rowsFileRoom(n, m + 1).chunk + threads * 16 * (m + 1)) +
  SLACK * (1 + threads);

/** Bytes of `solve` beside a range, and of each of its rows, whichever width their entries have. */
function room(size: SolverSize, options: FsaiOptions) {
  const { items: n, valued, weighted, threads, memoryBytes, gramian } = size;
  const m = neighboursOf(n, options, memoryBytes);
  const sweep = Math.max(gramian.arranging, gramian.sweep(bestBytes(m)));
  const fixed = 4 * n + gramian.arranged + besideRange(n, m, threads, sweep);
  return { fixed, row: rangeRowBytes(m, valued || weighted) };
}

export const ranged: RangedSolver<FsaiOptions> = {
  rowEntries: (n, options, memoryBytes) => neighboursOf(n, options, memoryBytes) + 1,
  room,
  solve,
};
