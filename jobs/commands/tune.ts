import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { stringify } from 'yaml';
import { StageError } from '../../src/errors.js';
import { type Measured, measure } from '../../src/evaluate/measure.js';
import { split } from '../../src/evaluate/split.js';
import { type FitOptions, fitOptions } from '../../src/solvers/index.js';
import { optionOf, searched } from '../../src/tune/space.js';
import { type Trial, type TuneOptions, type TuneResult, tuneOptions } from '../../src/tune/tune.js';
import { tuneHoldout } from '../../src/tune/tuner.js';
import { checked } from '../checked.js';
import { type Command, type CommandContext, type CommandResult, count } from '../command.js';
import { allowanceFlags, allowanceHelp } from './allowance.js';
import { fileFlags, readFiles } from './files.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';
import { metricsJson } from './metrics.js';
import { flagsOf, givenOptions, helpOf, optionsOf } from './option-flags.js';

/** The result of a search, with the metrics of its winner and of the present options on a test file. */
interface Found extends TuneResult {
  readonly final?: { readonly best: Measured; readonly present: Measured } | undefined;
  /** True if refits of the state use the winner from now on. */
  readonly adopted?: boolean | undefined;
}

const peakRss = (): number => process.resourceUsage().maxRSS * 1024;

/** Searches on a part held out of the train file; the test file only judges the winner. */
async function onFiles(
  context: CommandContext,
  paths: readonly [string, string],
): Promise<readonly [Found, TuneOptions, number]> {
  const { values, progress, signal } = context;
  const options = optionsOf(tuneOptions, values, { holdout: 'random' });
  if (options.holdout !== 'random' || options.cut !== undefined)
    throw new StageError('USAGE', 'tune: expected --holdout random of files, which have no times');
  const present = checked(fitOptions, { ...optionsOfFit(values), solver: options.solver }, 'options');
  const { files, memoryBytes, threadsOf } = await readFiles(context, paths, { present, tunes: true });
  const { scale } = files;
  const { train, test } = split({ ...files.train, times: new Float64Array(0) }, options);
  const show = (stage: string, part: number) => progress(`${Math.floor(part * 100)}%: ${stage}`);
  const resources = { directory: tmpdir(), memoryBytes, threadsOf, progress: show, signal };
  const result = await tuneHoldout({ train, test, scale }, { present, base: present }, options, resources);
  const judge = (fit: FitOptions): Promise<Measured> =>
    measure(files, fit, { k: options.k, threads: threadsOf(fit), memoryBytes });
  progress('measuring on the test file');
  const final = { best: await judge(result.best.options), present: await judge(present) };
  return [{ ...result, final }, options, peakRss()];
}

/** Searches on a part held out of the state. */
async function onState({ values, ask }: CommandContext): Promise<readonly [Found, TuneOptions, number]> {
  const { found, options, peakRssBytes } = await ask('tune', {
    options: givenOptions(tuneOptions, values),
    fixed: optionsOfFit(values),
    apply: values.apply === true,
  });
  return [found, options, peakRssBytes];
}

/** The table of trials as lines of text. */
function table({ trials }: TuneResult, { metric, k, solver }: TuneOptions): string[] {
  const names = searched(solver);
  const cell = (value: unknown): string => String(value ?? 'default').padStart(14);
  const row = ({ id, options, users, metrics, parameters, fitSeconds, problem }: Trial): string =>
    [
      String(id).padStart(5),
      cell(options.solver),
      ...names.map(name => cell(name in options ? optionOf(options, name) : '–')),
      cell(metrics ? metrics[metric].toFixed(4) : '–'),
      cell(metrics ? `±${metrics[`${metric}Error`].toFixed(4)}` : ''),
      cell(count(users)),
      cell(count(parameters)),
      cell(`${fitSeconds.toFixed(2)} s`),
      problem ? `  ${problem}` : '',
    ].join('');
  const titles = ['solver', ...names, `${metric}@${k}`, '', 'users', 'parameters', 'fit'];
  return [`trial${titles.map(cell).join('')}`, ...trials.map(row)];
}

const trialJson = (trial: Trial, k: number) => ({
  ...trial,
  metrics: trial.metrics && metricsJson(trial.metrics, k),
});

/** Writes the winner as YAML and the table beside it as JSON; returns the names of both. */
function write(output: string, best: FitOptions, json: object): readonly string[] {
  const beside = `${output.replace(/\.ya?ml$/, '')}.json`;
  try {
    writeFileSync(output, stringify({ fit: best }));
    writeFileSync(beside, `${JSON.stringify(json, null, 2)}\n`);
  } catch (cause) {
    throw new StageError(
      'USAGE',
      `--output: ${output} cannot be written (${(cause as NodeJS.ErrnoException).code})`,
    );
  }
  return [output, beside];
}

function outcome(
  found: Found,
  options: TuneOptions,
  peakRssBytes: number,
  output: string | undefined,
): CommandResult {
  const { best, present, trials, final, adopted } = found;
  const { metric, k } = options;
  const json = {
    best: trialJson(best, k),
    present: trialJson(present, k),
    trials: trials.map(trial => trialJson(trial, k)),
    tune: options,
    ...(final && {
      test: { best: metricsJson(final.best.metrics, k), present: metricsJson(final.present.metrics, k) },
    }),
    ...(adopted !== undefined && { adopted }),
    peakRssBytes,
  };
  const written = output === undefined ? [] : write(output, best.options, json);
  const value = (m: Trial | Measured): string => m.metrics![metric].toFixed(4);
  const lines = [
    ...table(found, options),
    `best: trial ${best.id}, ${metric}@${k} ${value(best)}; the present options ${value(present)}`,
    ...(final ? [`on the test file: best ${value(final.best)}, present ${value(final.present)}`] : []),
    ...(adopted === undefined
      ? []
      : [adopted ? 'refits use the best from now on' : 'the present options stay']),
    ...(written.length > 0 ? [`written: ${written.join(', ')}`] : []),
  ];
  return { json, text: lines.join('\n') };
}

/** Lets refits use the configured options again. */
async function reset({ ask }: CommandContext): Promise<CommandResult> {
  const found = await ask('resetTuned', {});
  const text = found.reset ? 'refits use the configured options again' : 'there were no tuned options';
  return { json: found, text };
}

export const tune: Command = {
  summary: 'search for better fit options on held-out interactions, of a file or of the state of -c',
  usage: '--train FILE --test FILE | -c pipeline.yaml [--trials 24] [--output best.yaml] [--apply] [--reset]',
  options: {
    ...fileFlags,
    ...flagsOf(tuneOptions),
    output: { type: 'string' },
    apply: { type: 'boolean' },
    reset: { type: 'boolean' },
    ...allowanceFlags,
    ...fitFlags,
  },
  help: {
    ...fitHelp,
    train: 'Parquet or CSV with columns user, item[, weight]; a share of it is held out',
    test: 'the same, on which the winner is measured at the end',
    ...helpOf(tuneOptions),
    output: 'write the best options here as YAML, and the table of trials beside it as JSON',
    apply: 'let refits of the state use the best options, if they are better than the present ones',
    reset: 'let refits of the state use the configured options again',
    ...allowanceHelp,
  },
  async run(context) {
    const { train, test, config, apply, output } = context.values;
    const files = typeof train === 'string' && typeof test === 'string';
    if (
      files
        ? config !== undefined || apply || context.values.reset
        : typeof config !== 'string' || train || test
    )
      throw new StageError('USAGE', 'tune: expected --train FILE and --test FILE, or -c FILE');
    if (context.values.reset) return reset(context);
    const [found, options, peakRssBytes] = files
      ? await onFiles(context, [train, test])
      : await onState(context);
    return outcome(found, options, peakRssBytes, typeof output === 'string' ? output : undefined);
  },
};
