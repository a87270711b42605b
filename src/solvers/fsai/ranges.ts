import { bestBytes } from '../../matrix/scratch.js';
import type { RowsFile } from '../../model/rows-file.js';
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
  const most = Math.max(1, Math.min(n, Math.floor(bytes / rangeRowBytes(m, isWide(diagonal)))));
  const mark = arena.mark();
  const order = arena.i32(arena.bytes(4 * n, 'the order of the items'), n);
  for (let i = 0; i < n; i++) order[positions[i]!] = i;
  const f = fsaiWorkspace(arena, diagonal, positions, { neighbours: m, alpha: options.alpha }, most);
  const arranged = stage('scale', () => gramian.arrange(positions));
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

/** Bytes of `solve` beside a range, and of each of its rows, whichever width their entries have. */
function room(size: SolverSize, options: FsaiOptions) {
  const { items: n, valued, weighted, threads, memoryBytes, gramian } = size;
  const m = neighboursOf(n, options, memoryBytes);
  const reading = Math.max(gramian.arranging, gramian.sweep(bestBytes(m)) + threads * solveBytes(m));
  const fixed = rowBytes(n, m, 0) + 8 * n + gramian.arranged + reading + SLACK * (1 + threads);
  return { fixed, row: rangeRowBytes(m, valued || weighted) };
}

export const ranged: RangedSolver<FsaiOptions> = {
  rowEntries: (n, options, memoryBytes) => neighboursOf(n, options, memoryBytes) + 1,
  room,
  solve,
};
