import { SLOT_ENTRIES, slotsOf, WIDTH } from '../gramian/implicit.js';
import { capacity, entryBudget } from './lower.js';

/** What decides how much memory a fit from X takes. */
export interface FitSize {
  readonly users: number;
  readonly items: number;
  readonly entries: number;
  readonly valued: boolean;
  readonly weighted: boolean;
  readonly density: number;
  readonly threads: number;
  /** Most scans that may be made. */
  readonly scans: number;
}

/** Upper bounds in bytes of what the arena holds in each phase of a fit. */
export interface WorkingSet {
  readonly norms: number;
  readonly elimination: number;
  readonly inverse: number;
  readonly model: number;
  /** The largest of them: give the arena this much. */
  readonly peak: number;
}

/** Rounding of allocations to cache lines, all in all. */
const SLACK = 16384;

/** The working set of `fitIcf`, before starting it. */
export function workingSet(size: FitSize): WorkingSet {
  const { users, items: n, entries, valued, weighted, threads, scans } = size;
  const budget = entryBudget(n, size.density);
  const factor = 8 * n + 4 * (n + 1) + 8 * capacity(n, budget) + SLACK;
  const workspace = 56 * n + 512;
  const x = 4 * (users + n + 2) + (weighted ? 4 * users : 0) + (valued ? 16 : 12) * entries + 8 * n;
  const wide = valued || weighted;
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
  const model = factor + (scans > 0 ? 2 : 1) * layer + layer + 8 * n;
  const peak = Math.max(norms, elimination, inverse, model) + SLACK * threads;
  return { norms, elimination, inverse, model, peak };
}
