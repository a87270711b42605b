import { degreeOrder } from '#src/fit/order.js';
import { type Model, parameters } from '#src/model/model.js';
import type { IcfOptions } from '#src/solvers/icf/options.js';
import { entryBudget } from '#src/solvers/icf/options.js';
import type { Gramian } from './columns.js';
import { factorize } from './factor.js';
import { invert } from './inverse.js';
import { columnScales, unitScales } from './scale.js';
import { buildModel } from './weights.js';

/** The stages of a fit, in order. */
export type FitStage = 'order' | 'scale' | 'factor' | 'inverse' | 'weights';

/** What a fit did, as plain JSON values; times are in seconds. */
export type FitReport = {
  readonly items: number;
  /** Items with G_jj > 0. */
  readonly usedItems: number;
  /** Shifts λ that were tried; the last one is in the factor. */
  readonly shifts: readonly number[];
  readonly factorEntries: number;
  /** ‖I − LK‖²_F / n at the start and after each scan. */
  readonly losses: readonly number[];
  /** Whether the last scan raised the loss and was undone. */
  readonly undone: boolean;
  readonly parameters: number;
  readonly orderSeconds: number;
  readonly scaleSeconds: number;
  readonly factorSeconds: number;
  readonly inverseSeconds: number;
  readonly weightsSeconds: number;
  readonly fitSeconds: number;
};

/**
 * Fits SANSA to the Gramian: order, scale, factorize, invert, weights (Spišák et al. 2023, §3).
 * `report` hears the fraction of a stage that is done; what it throws ends the fit.
 * Throws `NOT_POSITIVE_DEFINITE` and `MEMORY_BUDGET`, and what the Gramian throws.
 */
export function fit(
  gramian: Gramian,
  options: IcfOptions,
  report: (stage: FitStage, fraction: number) => void = () => {},
): { model: Model; report: FitReport } {
  const { n } = gramian;
  const seconds = { order: 0, scale: 0, factor: 0, inverse: 0, weights: 0 };
  const start = performance.now();
  const stage = <T>(name: FitStage, run: () => T): T => {
    report(name, 0);
    const begin = performance.now();
    const result = run();
    seconds[name] = (performance.now() - begin) / 1000;
    report(name, 1);
    return result;
  };

  const diagonal = gramian.diagonal();
  const order = stage('order', () => degreeOrder(diagonal));
  const scales = stage('scale', () => (options.scale ? columnScales(gramian) : unitScales(n)));
  const factor = stage('factor', () =>
    factorize(gramian, order, scales, options, fraction => report('factor', fraction)),
  );
  const budget = entryBudget(n, options.density);
  const inverse = stage('inverse', () =>
    invert(factor.lower, { ...options, budget }, fraction => report('inverse', fraction)),
  );
  const model = stage('weights', () =>
    buildModel(inverse.lower, factor.pivots, order, options.rescale ? scales : undefined),
  );
  return {
    model,
    report: {
      items: n,
      usedItems: diagonal.reduce((count, g) => count + (g > 0 ? 1 : 0), 0),
      shifts: factor.shifts,
      factorEntries: factor.lower.data.length,
      losses: inverse.losses,
      undone: inverse.undone,
      parameters: parameters(model),
      orderSeconds: seconds.order,
      scaleSeconds: seconds.scale,
      factorSeconds: seconds.factor,
      inverseSeconds: seconds.inverse,
      weightsSeconds: seconds.weights,
      fitSeconds: (performance.now() - start) / 1000,
    },
  };
}
