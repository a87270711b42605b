import { type BenchOptions, dataSet, median, runCli } from './environment.js';
import { openReference } from './reference.js';

const cases = [
  { name: 'gowalla', l2: 20, density: 5e-4 },
  { name: 'amazon-books-scale', l2: 20, density: 5e-5 },
] as const;

/** A run of either side, as far as both report it. */
type Run = Readonly<Record<'fitSeconds' | 'scoreSeconds' | 'peakRssBytes' | 'recall@20' | 'ndcg@20', number>>;

const medians = (runs: readonly Run[]): Run => ({
  fitSeconds: median(runs.map(r => r.fitSeconds)),
  scoreSeconds: median(runs.map(r => r.scoreSeconds)),
  peakRssBytes: median(runs.map(r => r.peakRssBytes)),
  'recall@20': median(runs.map(r => r['recall@20'])),
  'ndcg@20': median(runs.map(r => r['ndcg@20'])),
});

/**
 * The whole fit beside the Python reference at the same settings, in turn, each run in a process of its own:
 * two threads, one thread, reference. `speedup` is the median over runs of reference time / own time.
 */
export async function benchFit({ data, runs, log }: BenchOptions): Promise<object> {
  const reference = openReference(log);
  const results: Record<string, object> = {};
  for (const { name, l2, density } of cases) {
    const { train, test } = dataSet(data, name);
    const evaluate = (threads: number): Run => {
      const flags = [
        '--solver',
        'icf',
        '--l2',
        String(l2),
        '--density',
        String(density),
        '--threads',
        String(threads),
      ];
      return runCli(['evaluate', '--train', train, '--test', test, ...flags]) as Run;
    };
    const [two, one, theirs]: [Run[], Run[], Run[]] = [[], [], []];
    for (let run = 0; run < runs; run++) {
      two.push(evaluate(2));
      one.push(evaluate(1));
      theirs.push(reference(train, test, l2, density));
      const [a, b] = [two[run]!, theirs[run]!];
      log(
        `${name}: ${a.fitSeconds.toFixed(2)} s, one thread ${one[run]!.fitSeconds.toFixed(2)} s, reference ${b.fitSeconds.toFixed(2)} s`,
      );
    }
    results[name] = {
      l2,
      density,
      runs,
      twoThreads: medians(two),
      oneThread: medians(one),
      reference: medians(theirs),
      speedup: median(two.map((a, run) => theirs[run]!.fitSeconds / a.fitSeconds)),
      memoryRatio: median(two.map((a, run) => theirs[run]!.peakRssBytes / a.peakRssBytes)),
      threadSpeedup: median(two.map((a, run) => one[run]!.fitSeconds / a.fitSeconds)),
    };
  }
  return { reference: 'sansa 1.1.0', sets: results };
}
