import { SLOT_ENTRIES, slotsOf, sweepBytes, WIDTH } from '../gramian/implicit.js';
import { capacity } from '../matrix/lower.js';
import { distilBytes } from '../model/serving.js';
import type { FitOptions, FsaiOptions, IcfOptions } from '../options.js';
import { defaultServing, entryBudget, neighboursOf } from '../solvers/defaults.js';
import { bestBytes, blockBytes, solveBytes } from '../solvers/fsai/rows.js';

/** What decides how much memory a fit from X takes. */
export interface FitSize {
  readonly users: number;
  readonly items: number;
  readonly entries: number;
  readonly valued: boolean;
  readonly options: FitOptions;
  readonly threads: number;
  /** What the small blocks of fsai may take at a time. */
  readonly blockBudget: number;
}

/** Rounding of allocations to cache lines, all in all. */
const SLACK = 16384;

/** Upper bounds in bytes of what the arena holds in each phase of a fit; give it the largest of them. */
export function workingSet(size: FitSize): Readonly<Record<string, number>> & { readonly peak: number } {
  const { options } = size;
  const solver = options.solver === 'icf' ? icfPhases(size, options) : fsaiPhases(size, options);
  const phases = { ...solver, serving: serving(size) };
  return { ...phases, peak: Math.max(...Object.values(phases)) + SLACK * size.threads };
}

/** Most nonzeros of a layer. */
function layerEntries(n: number, options: FitOptions): number {
  if (options.solver === 'icf') return capacity(n, entryBudget(n, options.density));
  return n * (1 + neighboursOf(n, options));
}

/** X by rows and by columns. */
function interactions({ users, items: n, entries, valued, options }: FitSize): number {
  const weighted = options.userWeighting > 0;
  return 4 * (users + n + 2) + (weighted ? 4 * users : 0) + (valued ? 16 : 12) * entries + 8 * n;
}

function icfPhases(size: FitSize, { density, scans, userWeighting }: IcfOptions) {
  const { users, items: n, valued, threads } = size;
  const budget = entryBudget(n, density);
  const factor = 8 * n + 4 * (n + 1) + 8 * capacity(n, budget) + SLACK;
  const workspace = 56 * n + 512;
  const x = interactions(size);
  const wide = valued || userWeighting > 0;
  // in sums that round every one of 8 blocks has its own
  const normScratch = wide ? 24 * n * Math.max(8, threads) : 16 * n * threads;
  const slots = slotsOf(threads);
  // 8 bytes more an entry where values do not fit one word with their positions
  const ring = slots * ((wide ? 12 : 4) * Math.max(n, SLOT_ENTRIES) + 4 * (WIDTH + 1));
  const loading = 12 * n + 4 * Math.max(users, n);
  const norms = factor + workspace + x + Math.max(loading, 4 * n + normScratch);
  const elimination = factor + workspace + x + 12 * n + ring + threads * (64 + (wide ? 8 : 4) * n);
  const layer = 4 * (n + 1) + 8 * capacity(n, Math.max(n, budget));
  const scan = 12 * n + 8 * n + 8 * n + 2 * layer + threads * (32 * n + 128 + 4 * 65536);
  const inverse = factor + (scans > 0 ? 2 * layer + scan : layer + 20 * n + threads * (16 * n + 128));
  const model = factor + (scans > 0 ? 2 : 1) * layer + 2 * layer + 8 * n;
  return { norms, elimination, inverse, model };
}

function fsaiPhases(size: FitSize, options: FsaiOptions) {
  const { users, items: n, valued, threads, blockBudget } = size;
  const m = neighboursOf(n, options);
  const x = interactions(size);
  const patterns = 28 * n + 12 * n * m + SLACK;
  const wide = valued || options.userWeighting > 0;
  const summing = threads * sweepBytes(n, wide ? 8 : 4, bestBytes(m));
  // of the two widths the entries may have, whichever takes more
  const blocksOf = (w: boolean): number => {
    const perRow = Math.max(1, blockBytes(m, w));
    return Math.max(1, Math.min(n, Math.floor(blockBudget / perRow))) * (perRow + 4 * m);
  };
  const blocks = Math.max(blocksOf(false), wide ? blocksOf(true) : 0);
  const collected = blocks + threads * solveBytes(m) + 8 * n;
  const layer = 4 * (n + 1) + 8 * n * (m + 1);
  return {
    loading: x + 12 * n + 4 * Math.max(users, n),
    patterns: x + patterns + 4 * n + summing,
    blocks: x + patterns + collected + 4 * n + summing,
    model: patterns + 3 * layer + 8 * n,
  };
}

function serving({ items: n, options, threads }: FitSize): number {
  const width = options.serving ?? defaultServing(n, options);
  if (width === 0) return 0;
  const layers = 2 * (4 * (n + 1) + 8 * layerEntries(n, options));
  return layers + 16 * n + 8 * n * width + threads * distilBytes(n, width) + SLACK;
}
