import { servingLoss } from '../evaluate/serving-loss.js';
import { type FitReport, fit, type GramianInput } from '../fit/fit.js';
import { parameters } from '../model/model.js';
import { saveModel } from '../model/weights-file.js';
import type { Progress } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';

/** Fits a model and writes its weights to `path`; for a compute thread. */
export async function fitToFile(
  path: string,
  gramian: GramianInput,
  options: FitOptions,
  resources: { readonly threads: number | undefined; readonly memoryBytes: number | undefined },
  report: Progress,
): Promise<{ readonly report: FitReport; readonly parameters: number }> {
  const fitted = await fit(gramian, options, { ...resources, report });
  saveModel(path, fitted.model, { solver: options.solver });
  const loss = gramian.mode === 'implicit' ? servingLoss(fitted.model, gramian.rows) : undefined;
  return { report: { ...fitted.report, servingLoss: loss }, parameters: parameters(fitted.model) };
}
