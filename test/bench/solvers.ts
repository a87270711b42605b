import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { solverNames } from '../../src/solvers/index.js';
import { files, generated, retailSplit } from './defaults.js';
import { type BenchOptions, dataSet, runCli } from './environment.js';
import { openReference } from './reference.js';

type Quality = Readonly<Partial<Record<'recall@20' | 'ndcg@20', number | undefined>>>;

/** What is compared of a run, or why there is none. */
interface Figures extends Quality {
  readonly serving?: Quality | undefined;
  readonly fitSeconds?: number | undefined;
  readonly peakRssBytes?: number | undefined;
  readonly parameters?: number | undefined;
  readonly error?: { readonly code: string };
}

/** The table of all sets and solvers, as Markdown. */
export function tableOf(sets: Readonly<Record<string, Readonly<Record<string, Figures>>>>): string {
  const cells = ({ error, fitSeconds, peakRssBytes, parameters, serving, ...layers }: Figures) => {
    if (error) return [error.code, '', '', '', ''];
    const quality = (x: Quality | undefined) =>
      x ? `${x['recall@20']!.toFixed(4)} / ${x['ndcg@20']!.toFixed(4)}` : '';
    return [
      quality(layers),
      quality(serving),
      `${fitSeconds!.toFixed(2)} s`,
      `${Math.round(peakRssBytes! / 2 ** 20)} MiB`,
      `${(parameters! / 1e6).toFixed(2)} M`,
    ];
  };
  const rows = Object.entries(sets).flatMap(([set, solvers]) =>
    Object.entries(solvers).map(([solver, figures]) => [set, solver, ...cells(figures)]),
  );
  const head = ['', 'solver', 'layers', 'served', 'fit', 'peak memory', 'parameters'];
  return [head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n');
}

const densities: Readonly<Record<string, number>> = { gowalla: 5e-4, 'amazon-books-scale': 5e-5 };

/** The reference, if Python has it or it can be installed. */
function referenceIfAny(log: (line: string) => void): ReturnType<typeof openReference> | undefined {
  try {
    return openReference(log);
  } catch (error) {
    log((error as Error).message);
    return undefined;
  }
}

/** Every solver with its defaults on every data set, each in a process of its own, beside the reference. */
export async function benchSolvers({ data, log }: BenchOptions): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-solvers-'));
  const reference = referenceIfAny(log);
  try {
    const sets = {
      gowalla: dataSet(data, 'gowalla'),
      'amazon-books-scale': dataSet(data, 'amazon-books-scale'),
      'online-retail': await files(directory, 'retail', retailSplit),
      generated: await files(directory, 'generated', generated),
    };
    const results: Record<string, Record<string, Figures>> = {};
    for (const [name, { train, test }] of Object.entries(sets)) {
      const found: Record<string, Figures> = {};
      for (const solver of solverNames) {
        found[solver] = figuresOf(['evaluate', '--train', train, '--test', test, '--solver', solver]);
        log(`${name}, ${solver}: ${JSON.stringify(found[solver])}`);
      }
      const density = densities[name];
      if (reference && density !== undefined) found.reference = reference(train, test, 20, density);
      results[name] = found;
    }
    log(tableOf(results));
    return { reference: reference ? 'sansa 1.1.0' : null, sets: results };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What is compared of a run, or why there is none: a dense solver refuses a catalogue that does not fit the memory. */
function figuresOf(args: readonly string[]): Figures {
  try {
    const run = runCli(args) as unknown as Figures;
    const { serving } = run;
    const { fitSeconds, peakRssBytes, parameters } = run;
    const quality = { 'recall@20': run['recall@20'], 'ndcg@20': run['ndcg@20'] };
    const served = serving && { 'recall@20': serving['recall@20'], 'ndcg@20': serving['ndcg@20'] };
    return { ...quality, serving: served, fitSeconds, peakRssBytes, parameters };
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string };
    if (!stdout) throw error;
    return JSON.parse(stdout) as Figures;
  }
}
