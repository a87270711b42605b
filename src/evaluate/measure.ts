import { type FitReport, fit } from '../fit/fit.js';
import type { Rows } from '../matrix/rows.js';
import { parameters } from '../model/model.js';
import type { Progress } from '../runtime/task.js';
import { onEngine, type Resources } from '../runtime/threads.js';
import type { FitOptions } from '../solvers/index.js';
import { evaluate } from './evaluate.js';
import type { Bootstrap, Metrics } from './metrics.js';

/** Interactions to fit on and interactions to find again, over one numbering of users and items. */
export interface Holdout {
  /** n items. */
  readonly train: Rows;
  /** The part of the train rows that a fit sees, where it does not see all; users are scored by all. */
  readonly fitted?: Rows | undefined;
  /** Items that the train rows lack may have ids ≥ n. */
  readonly test: Rows;
  /** Fixed-point scale of the values. */
  readonly scale: number;
}

/** Options and resources of a measurement. */
export interface MeasureSettings extends Resources {
  readonly k: number;
  /** Whether to measure both layers beside the serving matrix. */
  readonly layered?: boolean | undefined;
  readonly bootstrap?: Bootstrap | undefined;
  /** Hears how far it is: a stage of the fit, then `scoring`. */
  readonly report?: ((stage: string, part: number) => void) | undefined;
}

/** A model's lists when both layers score them. */
export interface Layered {
  /** Metrics of both layers, in place of the serving matrix. */
  readonly metrics: Metrics;
  readonly scoreSeconds: number;
}

/** Figures of a fit on a holdout. */
export interface Measured {
  /** Metrics of the lists that the model is published with: through the serving matrix if it has one. */
  readonly metrics: Metrics;
  /** The same through both layers, when it was asked for. */
  readonly layered?: Layered | undefined;
  readonly report: FitReport;
  readonly parameters: number;
  /** Of the layers: without the serving matrix, whose time is in the report. */
  readonly fitSeconds: number;
  /** Of the lists alone. */
  readonly scoreSeconds: number;
}

/** As `measure`, for a compute thread. */
export const measureReporting = (
  holdout: Holdout,
  options: FitOptions,
  settings: Omit<MeasureSettings, 'engine' | 'report'>,
  report: Progress,
): Promise<Measured> => measure(holdout, options, { ...settings, report });

/** Fits on the train rows and measures on the test rows. Blocks its thread. */
export function measure(holdout: Holdout, options: FitOptions, settings: MeasureSettings): Promise<Measured> {
  const { train, fitted: seen = train, test, scale } = holdout;
  const { k, bootstrap, report: progress } = settings;
  return onEngine(settings, async engine => {
    const started = performance.now();
    const input = { mode: 'implicit', rows: seen, scale } as const;
    const { model, report } = await fit(input, options, { engine, report: progress });
    const fitted = performance.now();
    progress?.('scoring', 0);
    let [scoreSeconds, layeredSeconds] = [0, 0];
    const metrics = await evaluate(model, train, test, k, {
      engine,
      bootstrap,
      ranked: seconds => {
        scoreSeconds = seconds;
      },
    });
    const compared = settings.layered === true && model.serving !== undefined;
    const ranked = (seconds: number): void => {
      layeredSeconds = seconds;
    };
    const layered = compared
      ? await evaluate(model, train, test, k, { engine, layered: true, ranked })
      : undefined;
    return {
      metrics,
      layered: layered && { metrics: layered, scoreSeconds: layeredSeconds },
      report,
      parameters: parameters(model),
      fitSeconds: (fitted - started) / 1000 - (report.seconds.serving ?? 0),
      scoreSeconds,
    };
  });
}
