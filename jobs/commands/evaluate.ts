import { availableParallelism } from 'node:os';
import { loadSplit } from '../../connectors/duckdb/split.js';
import { StageError } from '../../src/errors.js';
import { type Measured, measure } from '../../src/evaluate/measure.js';
import { assertWorkable, databaseShare, planFit } from '../../src/memory.js';
import { type FitOptions, fitOptions } from '../../src/options.js';
import { parseSize } from '../../src/size.js';
import {
  type Command,
  type CommandContext,
  count,
  type Outcome,
  type Values,
  wholeNumber,
} from '../command.js';
import { checked } from '../config.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';
import { metricsJson, metricsText } from './metrics.js';

/** The cut-off, the bootstrap and the seed that a command line asks for. */
function measuresOf(values: Values) {
  const k = wholeNumber('k', values.k ?? '20');
  const seed = wholeNumber('seed', values.seed ?? '1');
  const draws = values.bootstrap === undefined ? 0 : wholeNumber('bootstrap', values.bootstrap);
  return { k, seed, bootstrap: draws > 0 ? { draws, seed } : undefined };
}

/** Fits on one file and measures on another. */
async function onFiles(
  { values, progress }: CommandContext,
  trainPath: string,
  testPath: string,
): Promise<Outcome> {
  const { k, bootstrap } = measuresOf(values);
  const options = checked(fitOptions, optionsOfFit(values), 'options');
  const requested =
    values.threads === undefined ? availableParallelism() : wholeNumber('threads', values.threads);
  progress('reading');
  const memoryBytes = parseSize(typeof values.memory === 'string' ? values.memory : '1GiB', '--memory');
  assertWorkable(memoryBytes);
  let threads = requested;
  const holdout = await loadSplit(trainPath, testPath, databaseShare(memoryBytes), counts => {
    const { density, scans } = options;
    const size = { ...counts, mode: 'implicit', density, scans } as const;
    ({ threads } = planFit(size, memoryBytes - 4 * counts.testInteractions, requested));
  });
  const report = (stage: string, part: number) => progress(`${stage} ${Math.floor(part * 100)}%`);
  const found = await measure(holdout, options, { k, threads, memoryBytes, bootstrap, report });
  return outcome(found, k, options, { items: holdout.train.n, interactions: holdout.train.indices.length });
}

function outcome(found: Measured, k: number, options: FitOptions, sizes: Record<string, unknown>): Outcome {
  const { metrics, report, parameters, fitSeconds, scoreSeconds } = found;
  const json = {
    ...metricsJson(metrics, k),
    ...sizes,
    fitSeconds,
    scoreSeconds,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    parameters,
    solver: options.solver,
    options,
    fit: report,
  };
  const peak = count(Math.round(json.peakRssBytes / 2 ** 20));
  const text = [
    ...metricsText(metrics, k),
    `${count(report.items)} items, ${count(parameters)} parameters`,
    `fit ${fitSeconds.toFixed(2)} s, scoring ${scoreSeconds.toFixed(2)} s, peak memory ${peak} MiB`,
  ].join('\n');
  return { json, text };
}

export const evaluate: Command = {
  summary: 'fit on one file and measure the ranking on another (LightGCN protocol); needs no configuration',
  usage: '--train FILE --test FILE [--k 20] [--bootstrap N] [--l2 N] [--density N] …',
  options: {
    train: { type: 'string' },
    test: { type: 'string' },
    k: { type: 'string' },
    bootstrap: { type: 'string' },
    seed: { type: 'string' },
    threads: { type: 'string' },
    memory: { type: 'string' },
    ...fitFlags,
  },
  help: {
    train: 'Parquet or CSV with columns user, item[, weight]',
    test: 'the same, held out',
    k: 'cut-off of the metrics (20)',
    bootstrap: 'draw the users again so often for 95% intervals',
    seed: 'seed of everything drawn (1)',
    threads: 'threads to use (one a core)',
    memory: 'what it may use beside the fixed base of the runtime (1GiB)',
    ...fitHelp,
  },
  async run(context) {
    const { train, test } = context.values;
    if (typeof train !== 'string' || typeof test !== 'string') {
      throw new StageError('USAGE', 'evaluate: expected --train FILE and --test FILE');
    }
    return onFiles(context, train, test);
  },
};
