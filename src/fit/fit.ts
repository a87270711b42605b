import { availableParallelism } from 'node:os';
import { StageError } from '../errors.js';
import type { Gramian } from '../gramian/columns.js';
import { implicitGramian } from '../gramian/implicit.js';
import type { Rows } from '../gramian/rows.js';
import { storedGramian } from '../gramian/stored.js';
import { Arena } from '../kernels.js';
import { type Model, parameters } from '../model/model.js';
import type { FitOptions } from '../options.js';
import { Threads } from '../threads.js';
import { icfBegin, icfWorkspace } from './icf.js';
import { invert, record } from './inverse.js';
import { entryBudget, type Lower } from './lower.js';
import { degreeOrder } from './order.js';
import { buildModel, undoScaling } from './weights.js';

/** Where a fit gets G from; `scale` is the fixed-point scale of X, an entry v of G stands for v / scale². */
export type GramianInput =
  | { readonly mode: 'implicit'; readonly rows: Rows; readonly scale: number }
  | {
      readonly mode: 'stored';
      readonly paths: readonly string[];
      readonly n: number;
      readonly scale: number;
    };

/** What a fit may use. */
export interface FitResources {
  /** Threads, the calling one among them; by default one a core. The result does not depend on it. */
  readonly threads?: number | undefined;
  /** Bytes for X, the factor and every workspace; by default what 32-bit addresses reach. */
  readonly memoryBytes?: number | undefined;
  /** Hears how much of a stage is done, 0 … 1; what it throws ends the fit. */
  readonly report?: ((stage: FitStage, fraction: number) => void) | undefined;
}

/** The stages of a fit, in order. */
export type FitStage = 'order' | 'scale' | 'factor' | 'inverse' | 'weights';

/** What a fit did, as plain JSON values; times are in seconds. */
export interface FitReport {
  readonly items: number;
  /** Items with G_jj > 0. */
  readonly usedItems: number;
  readonly gramian: 'implicit' | 'stored';
  readonly threads: number;
  /** Shifts λ that were tried; the last one is in the factor. */
  readonly shifts: readonly number[];
  readonly factorEntries: number;
  /** ‖I − LK‖²_F / n at the start and after each scan. */
  readonly losses: readonly number[];
  /** Whether the last scan raised the loss and was undone. */
  readonly undone: boolean;
  readonly parameters: number;
  /** Most bytes of kernel memory in use. */
  readonly workingBytes: number;
  readonly seconds: Readonly<Record<FitStage, number>>;
}

/**
 * Fits SANSA: order, scale, factorize, invert, weights (Spišák et al. 2023, Algorithm 1). Blocks the calling
 * thread until it is done.
 *
 * @throws StageError `NOT_POSITIVE_DEFINITE` after the last shift, `MEMORY_BUDGET` when `memoryBytes` does not
 *   suffice, `OVERFLOW` when a sum of G may reach 2⁵³.
 */
export async function fit(
  input: GramianInput,
  options: FitOptions,
  resources: FitResources = {},
): Promise<{ model: Model; report: FitReport }> {
  const arena = new Arena(resources.memoryBytes);
  const threads = new Threads(arena, resources.threads ?? availableParallelism());
  const gramian =
    input.mode === 'implicit'
      ? implicitGramian(arena, threads, input.rows)
      : storedGramian(arena, input.paths, input.n);
  try {
    return fitIcf(arena, threads, gramian, input, options, resources.report ?? (() => {}));
  } finally {
    gramian.close();
    await threads.close();
  }
}

function fitIcf(
  arena: Arena,
  threads: Threads,
  gramian: Gramian,
  input: GramianInput,
  options: FitOptions,
  report: (stage: FitStage, fraction: number) => void,
): { model: Model; report: FitReport } {
  const { n } = gramian;
  const seconds: Record<FitStage, number> = { order: 0, scale: 0, factor: 0, inverse: 0, weights: 0 };
  const stage = <T>(name: FitStage, run: () => T): T => {
    report(name, 0);
    const begin = performance.now();
    const result = run();
    seconds[name] = (performance.now() - begin) / 1000;
    report(name, 1);
    return result;
  };

  const byItem = gramian.diagonal();
  const positions = stage('order', () => positionsOf(degreeOrder(byItem)));
  const budget = entryBudget(n, options.density);
  // What stays lies below what the elimination alone needs.
  const pivots = arena.bytes(8 * n, 'pivots');
  const workspace = icfWorkspace(arena, n, budget);
  const { t, arranged } = stage('scale', () => {
    const arranged = gramian.arrange(positions);
    const t = options.scale
      ? arranged.squaredNorms().map(s => (s > 0 ? 1 / s ** 0.25 : 1 / input.scale))
      : new Float64Array(n).fill(1 / input.scale);
    return { t, arranged };
  });

  const shifts: number[] = [];
  const L = stage('factor', (): Lower => {
    for (let attempt = 0; ; attempt++) {
      const raised = attempt === 0 ? 0 : options.shiftStep * options.shiftMultiplier ** (attempt - 1);
      const shift = options.l2 + raised;
      shifts.push(shift);
      const diagonal = arranged.diagonal.map((g, j) => g * t[j]! * t[j]! + shift);
      icfBegin(arena, workspace, diagonal, t);
      const result = arranged.eliminate(workspace, fraction => report('factor', fraction));
      if (result.ok) return result.factor;
      if (attempt === options.maxShifts) {
        const at = `pivot ${result.pivot} in column ${result.column} of ${n}`;
        throw new StageError('NOT_POSITIVE_DEFINITE', `${at} with l2 raised to ${shift}, expected > 0`);
      }
    }
  });
  arena.release(workspace.mark); // G is no longer needed
  arena.kernels.unitLower!(record(arena, L), pivots);
  const inverse = stage('inverse', () => invert(arena, threads, L, { ...options, budget }));
  const model = stage('weights', () => {
    const scaled = buildModel(arena, inverse.lower, pivots, positions);
    return options.rescale && options.scale ? undoScaling(scaled, t, positions) : scaled;
  });
  return {
    model,
    report: {
      items: n,
      usedItems: byItem.reduce((count, g) => count + (g > 0 ? 1 : 0), 0),
      gramian: input.mode,
      threads: threads.size,
      shifts,
      factorEntries: L.entries,
      losses: inverse.losses,
      undone: inverse.undone,
      parameters: parameters(model),
      workingBytes: arena.peak,
      seconds,
    },
  };
}

/** The inverse of an order: the position of each item. */
function positionsOf(order: Int32Array): Int32Array {
  const positions = new Int32Array(order.length);
  for (let k = 0; k < order.length; k++) positions[order[k]!] = k;
  return positions;
}
