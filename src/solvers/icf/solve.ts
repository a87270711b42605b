import { StageError } from '../../errors.js';
import type { FitContext, Solved } from '../../fit/fit.js';
import type { Lower } from '../../matrix/lower.js';
import type { Model } from '../../model/model.js';
import type { IcfOptions } from '../../options.js';
import { defaultL2, entryBudget, scaledL2 } from '../defaults.js';
import { buildModel, undoScaling } from '../layers.js';
import { icfBegin, icfWorkspace } from './factor.js';
import { invert, record } from './inverse.js';

/** SANSA by incomplete Cholesky: scale, factorize, invert, weights (Spišák et al. 2023, Algorithm 1). */
export function fitIcf(
  { arena, threads, gramian, positions, unit, stage }: FitContext,
  options: IcfOptions,
): Solved {
  const { n } = gramian;
  const budget = entryBudget(n, options.density);
  // What stays lies below what the elimination alone needs.
  const pivots = arena.bytes(8 * n, 'pivots');
  const workspace = icfWorkspace(arena, n, budget);
  const { t, arranged } = stage('scale', () => {
    const arranged = gramian.arrange(positions);
    const plain = 1 / Math.sqrt(unit);
    const t = options.scale
      ? arranged.squaredNorms().map(s => (s > 0 ? 1 / s ** 0.25 : plain))
      : new Float64Array(n).fill(plain);
    return { t, arranged };
  });
  const scaled = arranged.diagonal.map((g, j) => g * t[j]! * t[j]!);
  const l2 = options.l2 ?? (options.scale ? scaledL2 : defaultL2(scaled));

  const shifts: number[] = [];
  const L = stage('factor', (report): Lower => {
    for (let attempt = 0; ; attempt++) {
      const raised = attempt === 0 ? 0 : options.shiftStep * options.shiftMultiplier ** (attempt - 1);
      const shift = l2 + raised;
      shifts.push(shift);
      icfBegin(
        arena,
        workspace,
        scaled.map(a => a + shift),
        t,
      );
      const result = arranged.eliminate(workspace, report);
      if (result.ok) return result.factor;
      if (attempt === options.maxShifts) {
        const at = `pivot ${result.pivot} in column ${result.column} of ${n}`;
        throw new StageError('NOT_POSITIVE_DEFINITE', `${at} with l2 raised to ${shift}, expected > 0`);
      }
    }
  });
  arena.release(workspace.mark); // G is no longer needed
  arena.kernels.unitLower(record(arena, L), pivots);
  const inverse = stage('inverse', () => invert(arena, threads, L, { ...options, budget }));
  const layers = stage('weights', (): Model => {
    const model = buildModel(arena, inverse.lower, pivots, positions);
    if (options.rescale && options.scale) undoScaling(model, t, positions);
    return model;
  });
  const { losses, undone } = inverse;
  return { layers, l2, details: { shifts, factorEntries: L.entries, losses, undone } };
}
