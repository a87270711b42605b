import { StageError } from '../../errors.js';
import { capacity, factorRecord, type Lower } from '../../matrix/lower.js';
import type { Model } from '../../model/model.js';
import { defaultL2 } from '../defaults.js';
import { buildModel, layerBytes, undoScaling } from '../layers.js';
import type { Solved, SolverContext, SolverRoom, SolverSize } from '../solver.js';
import { eliminate, eliminationBytes, factorBytes, icfWorkspace } from './factor.js';
import { inverseRoom, invert } from './inverse.js';
import { entryBudget, type IcfOptions, scaledL2 } from './options.js';

/** SANSA by incomplete Cholesky: scale, factorize, invert, weights (Spišák et al. 2023, Algorithm 1). */
export function solve(
  { arena, threads, gramian, positions, unit, stage }: SolverContext,
  options: IcfOptions,
): Solved {
  const { n } = gramian;
  const budget = entryBudget(n, options.density);
  // the factor stays, so it lies below the elimination
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
      const diagonal = scaled.map(a => a + shift);
      const result = eliminate(arena, workspace, arranged, diagonal, t, report);
      if (result.ok) return result.factor;
      if (attempt === options.maxShifts) {
        const at = `pivot ${result.pivot} in column ${result.column} of ${n}`;
        throw new StageError('NOT_POSITIVE_DEFINITE', `${at} with l2 raised to ${shift}, expected > 0`);
      }
    }
  });
  arena.release(workspace.mark); // G is no longer needed
  arena.kernels.unitLower(factorRecord(arena, L), pivots);
  const inverse = stage('inverse', () => invert(arena, threads, L, { ...options, budget }));
  const layers = stage('weights', (): Model => {
    const model = buildModel(arena, inverse.lower, pivots, positions);
    if (options.rescale && options.scale) undoScaling(model, t, positions);
    return model;
  });
  const { losses, undone } = inverse;
  return { layers, l2, details: { shifts, factorEntries: L.entries, losses, undone } };
}

/** Bytes of each phase of `solve`. */
export function room({ items: n, threads, gramian }: SolverSize, { density, scans }: IcfOptions): SolverRoom {
  const budget = entryBudget(n, density);
  const entries = capacity(n, budget);
  const factor = 8 * n + factorBytes(n, budget);
  const arranged = factor + eliminationBytes(n) + gramian.arranged;
  const inverse = inverseRoom(n, entries, scans, threads);
  const { layers, making } = layerBytes(n, entries);
  return {
    phases: {
      norms: arranged + Math.max(gramian.arranging, gramian.squaredNorms),
      elimination: arranged + gramian.stream,
      inverse: factor + inverse.kept + inverse.making,
      model: factor + inverse.kept + layers + making,
    },
    layers,
  };
}
