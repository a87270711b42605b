import { type BenchOptions, dataSet, median, runCli } from './environment.js';
import { openReference } from './reference.js';

/** FSAI's settings, and those of the reference at as many parameters or as its paper has them. */
const cases = [
  {
    name: 'gowalla',
    flags: ['--neighbours', '20', '--alpha', '0.3', '--l2', '20', '--user-weighting', '0.5'],
    density: 5e-4,
  },
  { name: 'gowalla', flags: [], density: 5e-4 },
  { name: 'amazon-books-scale', flags: ['--neighbours', '20'], density: 5e-5 },
] as const;

interface Quality {
  readonly 'recall@20': number;
  readonly 'ndcg@20': number;
  readonly scoreSeconds: number;
}

/** What `evaluate` prints, as far as it is read here. */
interface Run extends Quality {
  readonly fitSeconds: number;
  readonly peakRssBytes: number;
  readonly parameters: number;
  readonly serving: Quality & {
    readonly width: number;
    readonly buildSeconds: number;
    readonly loss: number;
  };
}

/** FSAI beside the Python reference, in turn, each run in a process of its own: fit, both ways of scoring, memory. */
export async function benchFsai({ data, runs, log }: BenchOptions): Promise<object> {
  const reference = openReference(log);
  const results: object[] = [];
  for (const { name, flags, density } of cases) {
    const { train, test } = dataSet(data, name);
    const [ours, theirs]: [Run[], ReturnType<typeof reference>[]] = [[], []];
    for (let run = 0; run < runs; run++) {
      ours.push(
        runCli([
          'evaluate',
          '--train',
          train,
          '--test',
          test,
          '--solver',
          'fsai',
          ...flags,
        ]) as unknown as Run,
      );
      theirs.push(reference(train, test, 20, density));
      log(
        `${name} ${flags.join(' ')}: ${ours[run]!.fitSeconds.toFixed(2)} s, reference ${theirs[run]!.fitSeconds.toFixed(2)} s`,
      );
    }
    const of = (value: (run: Run) => number): number => median(ours.map(value));
    const last = ours.at(-1)!;
    results.push({
      name,
      options: flags.join(' ') || 'defaults',
      runs,
      'recall@20': last['recall@20'],
      'ndcg@20': last['ndcg@20'],
      parameters: last.parameters,
      fitSeconds: of(r => r.fitSeconds),
      peakRssBytes: of(r => r.peakRssBytes),
      scoreSeconds: of(r => r.scoreSeconds),
      serving: {
        width: last.serving.width,
        'recall@20': last.serving['recall@20'],
        'ndcg@20': last.serving['ndcg@20'],
        loss: last.serving.loss,
        buildSeconds: of(r => r.serving.buildSeconds),
        scoreSeconds: of(r => r.serving.scoreSeconds),
        speedup: of(r => r.scoreSeconds / r.serving.scoreSeconds),
      },
      reference: {
        fitSeconds: median(theirs.map(r => r.fitSeconds)),
        'recall@20': theirs.at(-1)!['recall@20'],
        'ndcg@20': theirs.at(-1)!['ndcg@20'],
      },
      speedup: median(ours.map((r, run) => theirs[run]!.fitSeconds / r.fitSeconds)),
    });
  }
  return { reference: 'sansa 1.1.0', cases: results };
}
