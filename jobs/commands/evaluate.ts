import { StageError } from '../../src/errors.js';
import type { Measured } from '../../src/evaluate/measure.js';
import { holdoutOptions } from '../../src/evaluate/options.js';
import { sampleUsers } from '../../src/evaluate/split.js';
import type { Rows } from '../../src/matrix/rows.js';
import { runOnce } from '../../src/runtime/compute.js';
import { tasksOf } from '../../src/runtime/task.js';
import { type FitOptions, fitOptions, overrideFit, solvers } from '../../src/solvers/index.js';
import { checked } from '../checked.js';
import {
  type Command,
  type CommandContext,
  type CommandResult,
  count,
  type Values,
  wholeNumber,
} from '../command.js';
import { presentFit } from '../tuned.js';
import { allowanceFlags, allowanceHelp } from './allowance.js';
import { fileFlags, fileHelp, readFiles } from './files.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';
import { metricsJson, metricsText } from './metrics.js';
import { flagsOf, helpOf, optionsOf } from './option-flags.js';

const measureTask = tasksOf<typeof import('../../src/evaluate/measure.js')>(
  new URL('../../src/evaluate/measure.js', import.meta.url),
);

/** The cut-off and the bootstrap that a command line asks for. */
function measuresOf(values: Values, seed: number) {
  const k = wholeNumber('k', values.k ?? '20');
  const bootstrap = values.bootstrap && { draws: wholeNumber('bootstrap', values.bootstrap), seed };
  return { k, bootstrap: bootstrap || undefined };
}

/** Shows the progress of a fit, with its solver where there are several. */
const shown =
  (progress: (text: string) => void, asked: readonly FitOptions[], { solver }: FitOptions) =>
  (stage: string, part: number): void =>
    progress(`${asked.length > 1 ? `${solver}: ` : ''}${stage} ${Math.floor(part * 100)}%`);

/** The options of each solver that the flags ask for: `all` asks for every one, with the flags that it has. */
function askedSolvers(flags: Record<string, unknown>, base?: FitOptions): readonly FitOptions[] {
  const { solver, ...given } = flags;
  const optionsOfOne = (overrides: Record<string, unknown>): FitOptions =>
    checked(fitOptions, base ? overrideFit(base, overrides) : overrides, base ? 'fit' : 'options');
  if (solver !== 'all') return [optionsOfOne(flags)];
  const unknown = Object.keys(given).find(name =>
    Object.values(solvers).every(({ options }) => !(name in options.shape)),
  );
  if (unknown) throw new StageError('USAGE', `evaluate: No solver has the option ${unknown}.`);
  return Object.entries(solvers).map(([name, { options }]) =>
    optionsOfOne({
      ...Object.fromEntries(Object.entries(given).filter(([option]) => option in options.shape)),
      solver: name,
    }),
  );
}

/** Measures one solver, or several into a table; of several, one that cannot be fitted has its problem in its line. */
async function measured(
  asked: readonly FitOptions[],
  run: (fit: FitOptions) => Promise<Measured>,
  k: number,
  sizes: Record<string, unknown>,
): Promise<CommandResult> {
  if (asked.length === 1) return outcome(await run(asked[0]!), k, asked[0]!, sizes);
  const json: Record<string, object> = {};
  const lines = [
    `${'solver'.padEnd(18)}layers: recall, ndcg@${k}   served: recall, ndcg@${k}   parameters   fit`,
  ];
  for (const fit of asked) {
    try {
      const found = await run(fit);
      json[fit.solver] = outcome(found, k, fit, sizes).json;
      const both = [found.layered?.metrics ?? found.metrics, found.metrics];
      const figures = both.map(m => `${m.recall.toFixed(4)}  ${m.ndcg.toFixed(4)}`.padEnd(26)).join('');
      lines.push(
        `${fit.solver.padEnd(18)}${figures}${count(found.parameters).padStart(12)}   ${found.fitSeconds.toFixed(2)} s`,
      );
    } catch (error) {
      if (!(error instanceof StageError) || error.code === 'INTERRUPTED') throw error;
      json[fit.solver] = { error: { code: error.code, message: error.message } };
      lines.push(`${fit.solver.padEnd(18)}${error.code}: ${error.message}`);
    }
  }
  return { json, text: lines.join('\n') };
}

/** Fits on one file and measures on another. */
async function onFiles(context: CommandContext, paths: readonly [string, string]): Promise<CommandResult> {
  const { values, progress, signal } = context;
  const unused = ['holdout', 'share', 'cut'].find(name => values[name] !== undefined);
  if (unused)
    throw new StageError(
      'USAGE',
      `evaluate: expected --${unused} with -c only: the test file is the holdout`,
    );
  const { seed, sample } = optionsOf(holdoutOptions, values);
  const { k, bootstrap } = measuresOf(values, seed);
  const asked = askedSolvers(optionsOfFit(values));
  const present = asked.length === 1 ? asked[0] : undefined;
  const { files, memoryBytes, threadsOf } = await readFiles(context, paths, { present });
  const holdout = { ...files, test: sampleUsers(files.test, sample, seed) };
  const settings = { k, memoryBytes, bootstrap, layered: true };
  const run = (fit: FitOptions) =>
    runOnce(measureTask('measureReporting'), [holdout, fit, { ...settings, threads: threadsOf(fit) }], {
      progress: shown(progress, asked, fit),
      signal,
    });
  const sizes = { items: holdout.train.n, interactions: holdout.train.indices.length };
  const warning = warnedOverlap(holdout.train, holdout.test);
  const { json, text } = await measured(asked, run, k, sizes);
  return warning === undefined ? { json, text } : { json: { ...json, warning }, text: `${warning}\n${text}` };
}

/** A sentence where most test pairs are in the train rows too: what a user has is not recommended, so never found. */
function warnedOverlap(train: Rows, test: Rows): string | undefined {
  const rowOf = new Map(Array.from(train.users, (user, r) => [user, r]));
  let known = 0;
  test.users.forEach((user, r) => {
    const t = rowOf.get(user);
    if (t === undefined) return;
    const had = new Set(train.indices.subarray(train.indptr[t], train.indptr[t + 1]));
    for (const item of test.indices.subarray(test.indptr[r], test.indptr[r + 1]))
      known += Number(had.has(item));
  });
  const all = test.indices.length;
  return known * 2 <= all
    ? undefined
    : `warning: ${count(known)} of ${count(all)} test pairs are in the train file too, and such pairs are never recommended: hold them out of it.`;
}

/** Holds out a part of the state's interactions, fits on the rest and measures. */
async function onState({ values, progress, reader, signal }: CommandContext): Promise<CommandResult> {
  const options = optionsOf(holdoutOptions, values);
  const measures = measuresOf(values, options.seed);
  const p = await reader();
  const asked = askedSolvers(optionsOfFit(values), await presentFit(p));
  progress('reading');
  const held = await p.holdOut(options, signal);
  const settings = { ...measures, layered: true, signal };
  const run = (fit: FitOptions) =>
    p.measureFit(held, fit, { ...settings, progress: shown(progress, asked, fit) });
  return measured(asked, run, measures.k, {
    items: held.train.n,
    interactions: held.train.indices.length,
    holdout: {
      ...options,
      ...(held.cut !== undefined && { cut: new Date(held.cut).toISOString() }),
      testInteractions: held.test.indices.length,
    },
  });
}

/** Metrics of what serves, and the share of the layers' NDCG that it loses; < 0 if it gains. */
function servingJson({ metrics, layered, report, scoreSeconds }: Measured, k: number) {
  const { ndcg } = (layered ?? { metrics }).metrics;
  return {
    by: report.servedBy,
    ...metricsJson(metrics, k),
    width: report.serving,
    buildSeconds: report.seconds.serving,
    scoreSeconds,
    loss: ndcg === 0 ? 0 : 1 - metrics.ndcg / ndcg,
  };
}

/** The figures of the model, which is both its layers, and beside them those of what serves. */
function outcome(
  found: Measured,
  k: number,
  options: FitOptions,
  sizes: Record<string, unknown>,
): CommandResult {
  const { report, parameters, fitSeconds } = found;
  const { metrics, scoreSeconds } = found.layered ?? found;
  const serving = servingJson(found, k);
  const json = {
    ...metricsJson(metrics, k),
    ...sizes,
    fitSeconds,
    scoreSeconds,
    serving,
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
    report.servedBy === 'matrix'
      ? `serving matrix of ${report.serving} an item: ndcg@${k} ${found.metrics.ndcg.toFixed(4)} (loses ${(100 * serving.loss).toFixed(2)}%), scoring ${found.scoreSeconds.toFixed(2)} s`
      : 'no serving matrix: the layers serve',
    `fit ${fitSeconds.toFixed(2)} s, scoring ${scoreSeconds.toFixed(2)} s, peak memory ${peak} MiB`,
  ].join('\n');
  return { json, text };
}

export const evaluate: Command = {
  summary:
    'fit and measure the ranking: on two files (LightGCN protocol), or on a part held out from the state of -c',
  usage: '--train FILE --test FILE | -c pipeline.yaml [--holdout time] [--k 20] [--bootstrap N] [--l2 N] …',
  options: {
    ...fileFlags,
    ...flagsOf(holdoutOptions),
    k: { type: 'string' },
    bootstrap: { type: 'string' },
    ...allowanceFlags,
    ...fitFlags,
  },
  help: {
    ...fileHelp,
    ...helpOf(holdoutOptions),
    k: 'cut-off of the metrics; default 20',
    bootstrap: 'draw the users again so often for 95% intervals',
    ...allowanceHelp,
    ...fitHelp,
    solver: `${fitHelp.solver}; all: a table of every one`,
  },
  async run(context) {
    const { train, test, config } = context.values;
    if (typeof train === 'string' && typeof test === 'string' && config === undefined)
      return onFiles(context, [train, test]);
    if (typeof config === 'string' && train === undefined && test === undefined) return onState(context);
    throw new StageError('USAGE', 'evaluate: expected --train FILE and --test FILE, or -c FILE');
  },
};
