import { servingLoss } from '../evaluate/serving-loss.js';
import { type FitReport, fit, type GramianInput } from '../fit/fit.js';
import { fitInRanges } from '../fit/fit-ranges.js';
import type { FitRanges } from '../fit/ranges.js';
import { type Model, parameters } from '../model/model.js';
import { saveModel } from '../model/weights-file.js';
import type { Progress } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';

/** Fits a model and writes its weights to `path`, in ranges where the plan says so; for a compute thread. */
export async function fitToFile(
  path: string,
  gramian: GramianInput,
  options: FitOptions,
  {
    ranges,
    ...resources
  }: {
    readonly threads: number | undefined;
    readonly memoryBytes: number | undefined;
    readonly ranges?: FitRanges | undefined;
  },
  report: Progress,
): Promise<{ readonly report: FitReport; readonly parameters: number }> {
  if (ranges) {
    const { threads } = resources;
    const written = await fitInRanges(path, gramian, options, ranges, { threads, report });
    const loss = written.serving > 0 ? undefined : 0;
    return { report: { ...written, servingLoss: loss }, parameters: written.parameters };
  }
  const fitted = await fit(gramian, options, { ...resources, report });
  saveModel(path, fitted.model, { solver: options.solver });
  const loss = lossOf(fitted.model, gramian);
  return { report: { ...fitted.report, servingLoss: loss }, parameters: parameters(fitted.model) };
}

/** What serving loses, as far as that is known: nothing where the layers serve, and a sample of users tells it where there are any. */
function lossOf(model: Model, gramian: GramianInput): number | undefined {
  if (!model.serving) return 0;
  return gramian.mode === 'implicit' ? servingLoss(model, gramian.rows) : undefined;
}
