import { availableParallelism } from 'node:os';
import { loadSplit } from '../../connectors/duckdb/split.js';
import { StageError } from '../../src/errors.js';
import { evaluate as evaluateModel } from '../../src/evaluate/metrics.js';
import { fit } from '../../src/fit/fit.js';
import { assertWorkable, databaseShare, planFit } from '../../src/memory.js';
import { parameters } from '../../src/model/model.js';
import { fitOptions } from '../../src/options.js';
import { parseSize } from '../../src/size.js';
import { type Command, count, wholeNumber } from '../command.js';
import { checked } from '../config.js';
import { fitFlags, fitHelp, optionsOfFit } from './fit-flags.js';

export const evaluate: Command = {
  summary: 'fit on one file and measure the ranking on another (LightGCN protocol); needs no configuration',
  usage: '--train FILE --test FILE [--k 20] [--l2 N] [--density N] …',
  options: {
    train: { type: 'string' },
    test: { type: 'string' },
    k: { type: 'string' },
    threads: { type: 'string' },
    memory: { type: 'string' },
    ...fitFlags,
  },
  help: {
    train: 'Parquet or CSV with columns user, item[, weight]',
    test: 'the same, held out',
    k: 'cut-off of the metrics (20)',
    threads: 'threads to use (one a core)',
    memory: 'what it may use beside the fixed base of the runtime (1GiB)',
    ...fitHelp,
  },
  async run({ values, progress }) {
    const { train: trainPath, test: testPath } = values;
    if (typeof trainPath !== 'string' || typeof testPath !== 'string') {
      throw new StageError('USAGE', 'evaluate: expected --train FILE and --test FILE');
    }
    const k = wholeNumber('k', values.k ?? '20');
    const options = checked(fitOptions, optionsOfFit(values), 'options');
    const requested =
      values.threads === undefined ? availableParallelism() : wholeNumber('threads', values.threads);
    progress('reading');
    const memoryBytes = parseSize(typeof values.memory === 'string' ? values.memory : '1GiB', '--memory');
    assertWorkable(memoryBytes);
    let threads = requested;
    const { train, test, scale } = await loadSplit(
      trainPath,
      testPath,
      databaseShare(memoryBytes),
      counts => {
        const size = { ...counts, mode: 'implicit', options } as const;
        ({ threads } = planFit(size, memoryBytes - 4 * counts.testInteractions, requested));
      },
    );
    const started = performance.now();
    const { model, report } = await fit({ mode: 'implicit', rows: train, scale }, options, {
      threads,
      memoryBytes,
      report: (stage, part) => progress(`fit: ${stage} ${Math.floor(part * 100)}%`),
    });
    const fitted = performance.now();
    progress('scoring');
    const metrics = await evaluateModel(model, train, test, k, { threads, memoryBytes });
    const json = {
      [`recall@${k}`]: metrics.recall,
      [`ndcg@${k}`]: metrics.ndcg,
      recallError: metrics.recallError,
      ndcgError: metrics.ndcgError,
      coverage: metrics.coverage,
      users: metrics.users,
      items: train.n,
      interactions: train.indices.length,
      fitSeconds: (fitted - started) / 1000,
      scoreSeconds: (performance.now() - fitted) / 1000,
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
      parameters: parameters(model),
      solver: options.solver,
      options,
      fit: report,
    };
    const text = [
      `recall@${k}   ${metrics.recall.toFixed(4)} ± ${metrics.recallError.toFixed(4)}`,
      `ndcg@${k}     ${metrics.ndcg.toFixed(4)} ± ${metrics.ndcgError.toFixed(4)}`,
      `coverage    ${metrics.coverage.toFixed(4)}`,
      `${count(metrics.users)} users, ${count(train.n)} items, ${count(parameters(model))} parameters`,
      `fit ${json.fitSeconds.toFixed(2)} s, scoring ${json.scoreSeconds.toFixed(2)} s, peak memory ${count(Math.round(json.peakRssBytes / 2 ** 20))} MiB`,
    ].join('\n');
    return { json, text };
  },
};
