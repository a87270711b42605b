import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { solverNames } from '../../src/solvers/index.js';
import { bestSellers, files, generated, market, retailSplit } from './defaults.js';
import { compareLoss } from './elsa-loss.js';
import { type BenchOptions, dataSet, runCli } from './environment.js';
import { openElsa, openReference } from './reference.js';
import { type SolverFigures as Figures, tableOf } from './table.js';

/** What is measured on a set beside the solvers with their defaults. */
interface Extra {
  /** Density of the layers of sansa's incomplete factorization. */
  readonly icf?: number;
  /** That of its exact one, beside which `exact` does the same. */
  readonly cholmod?: number;
  /** Whether elsarec is trained on it: its batches are dense. */
  readonly elsarec?: boolean;
}

const l2 = 20;
/** As its authors train it. */
const elsarec = { rank: 256, epochs: 5 };

/** A reference, if Python has it or it can be installed. */
function ifAny<T>(open: (log: (line: string) => void) => T, log: (line: string) => void): T | undefined {
  try {
    return open(log);
  } catch (error) {
    log((error as Error).message);
    return undefined;
  }
}

/** The data sets, of which those that are made go to a directory. */
async function setsIn(directory: string, data: string) {
  const gowalla = dataSet(data, 'gowalla');
  const best = bestSellers(gowalla.train, gowalla.test, 3000);
  return {
    'online-retail': [await files(directory, 'retail', retailSplit), { elsarec: true }],
    'generated, 3,000 items': [await files(directory, 'generated', generated), { elsarec: true }],
    "gowalla's 3,000 best sellers": [await files(directory, 'best', best), { cholmod: 0.01 }],
    gowalla: [gowalla, { icf: 5e-4 }],
    'generated, 17,000 items': [await files(directory, 'market', market), {}],
    'amazon-books-scale': [dataSet(data, 'amazon-books-scale'), { icf: 5e-5 }],
  } as const satisfies Record<string, readonly [{ train: string; test: string }, Extra]>;
}

/** Every solver with its defaults on every data set, each in a process of its own, beside the references. */
export async function benchSolvers({ data, log }: BenchOptions): Promise<object> {
  const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-solvers-'));
  const [sansa, elsa] = [ifAny(openReference, log), ifAny(openElsa, log)];
  try {
    const sets = await setsIn(directory, data);
    const results: Record<string, Record<string, Figures>> = {};
    for (const [name, [{ train, test }, extra]] of Object.entries(sets) as [
      string,
      readonly [Split, Extra],
    ][]) {
      const found: Record<string, Figures> = {};
      results[name] = found;
      const note = (solver: string, figures: Figures) => {
        found[solver] = figures;
        log(`${name}, ${solver}: ${JSON.stringify(figures)}`);
      };
      const evaluate = ['evaluate', '--train', train, '--test', test, '--solver'];
      for (const solver of solverNames) note(solver, figuresOf([...evaluate, solver]));
      if (sansa && extra.icf) note('sansa, icf', sansa(train, test, l2, extra.icf));
      if (sansa && extra.cholmod) {
        const same = ['--l2', l2, '--density', extra.cholmod, '--user-weighting', 0, '--input-power', 0];
        note('exact, factor', figuresOf([...evaluate, 'exact', '--form', 'factor', ...same.map(String)]));
        note('sansa, cholmod', sansa(train, test, l2, extra.cholmod, 'cholmod'));
      }
      if (elsa && extra.elsarec) note('elsarec', elsa.train(train, test, elsarec.rank, elsarec.epochs));
    }
    log(tableOf(results));
    const [split] = sets['online-retail'];
    const loss = elsa && (await compareLoss(elsa, split.train, split.test));
    return {
      references: { sansa: sansa && '1.1.0', elsarec: elsa && '0.1.4' },
      elsaLoss: loss,
      sets: results,
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

type Split = Readonly<Record<'train' | 'test', string>>;

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
