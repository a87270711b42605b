import { type FitReport, fit } from '../fit/fit.js';
import type { Rows } from '../gramian/rows.js';
import { type Model, parameters } from '../model/model.js';
import type { FitOptions } from '../options.js';
import { evaluate } from './evaluate.js';
import type { Bootstrap, Metrics } from './metrics.js';

/** Interactions to fit on and interactions to find again, over one numbering of users and items. */
export interface Holdout {
  /** n items. */
  readonly train: Rows;
  /** Items that the train rows lack may have ids ≥ n. */
  readonly test: Rows;
  /** Fixed-point scale of the values. */
  readonly scale: number;
}

/** How a fit is measured, and what that may use. */
export interface MeasureSettings {
  readonly k: number;
  readonly threads?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly bootstrap?: Bootstrap | undefined;
  /** Hears how far it is: a stage of the fit, then `scoring`. */
  readonly report?: ((stage: string, part: number) => void) | undefined;
}

/** What came of a fit on a holdout. */
export interface Measured {
  readonly metrics: Metrics;
  readonly report: FitReport;
  readonly parameters: number;
  readonly fitSeconds: number;
  readonly scoreSeconds: number;
}

/** Fits on the train rows of a holdout. Blocks its thread. */
export async function fitHoldout(
  { train, scale }: Holdout,
  options: FitOptions,
  { threads, memoryBytes, report }: MeasureSettings,
): Promise<{ readonly model: Model; readonly report: FitReport }> {
  return fit({ mode: 'implicit', rows: train, scale }, options, { threads, memoryBytes, report });
}

/** Fits on the train rows and measures on the test rows. Blocks its thread. */
export async function measure(
  holdout: Holdout,
  options: FitOptions,
  settings: MeasureSettings,
): Promise<Measured> {
  const { k, threads, memoryBytes, bootstrap } = settings;
  const started = performance.now();
  const { model, report } = await fitHoldout(holdout, options, settings);
  const fitted = performance.now();
  settings.report?.('scoring', 0);
  const metrics = await evaluate(model, holdout.train, holdout.test, k, { threads, memoryBytes, bootstrap });
  return {
    metrics,
    report,
    parameters: parameters(model),
    fitSeconds: (fitted - started) / 1000,
    scoreSeconds: (performance.now() - fitted) / 1000,
  };
}
