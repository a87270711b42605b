/** The figures that the README quotes, made from the written results; a test compares the two. */

/** A result file as `bench` writes it, as far as the table reads it. */
export interface Results {
  readonly fit: {
    readonly environment: { readonly cpu: string; readonly cores: number; readonly node: string };
    readonly reference: string;
    readonly sets: Readonly<Record<string, FitSet>>;
  };
  readonly kernels: {
    readonly compiler: string;
    readonly sets: Readonly<
      Record<string, Readonly<Record<string, { ratio: number; pairsPerSecond: number }>>>
    >;
  };
  readonly ingest: { readonly eventsPerSecond: number; readonly measured: readonly { entries: number }[] };
  readonly memory: {
    readonly baseRssBytes: number;
    readonly budgets: readonly { budgetBytes: number; aboveBaseBytes: number }[];
  };
  readonly scale: {
    readonly exponents: Readonly<Record<string, { fitSeconds: number; peakRssBytes?: number }>>;
  };
}

type Run = Readonly<Record<'fitSeconds' | 'peakRssBytes' | 'recall@20' | 'ndcg@20', number>>;

interface FitSet {
  readonly l2: number;
  readonly density: number;
  readonly twoThreads: Run;
  readonly reference: Run;
  readonly speedup: number;
  readonly memoryRatio: number;
  readonly threadSpeedup: number;
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
const millions = (x: number): string => `${Math.round(x / 1e6)} M`;

/** The README's section of measured figures, in Markdown. */
export function figures({ fit, kernels, ingest, memory, scale }: Results): string {
  const lines = [
    `Measured with \`npm run -s bench -- fit|kernels|ingest|memory|scale\` on ${fit.environment.cores} cores (${fit.environment.cpu}, Node ${fit.environment.node}); medians, each`,
    `beside its reference in the same run. The reference is ${fit.reference} from PyPI at the same settings.`,
    '',
    '| | recall@20 / ndcg@20 | fit, 2 threads | faster than the reference | peak memory | less memory | 2 threads : 1 |',
    '|---|---|---|---|---|---|---|',
  ];
  for (const [name, s] of Object.entries(fit.sets)) {
    const quality = (r: Run) => `${r['recall@20'].toFixed(4)} / ${r['ndcg@20'].toFixed(4)}`;
    lines.push(
      `| ${name}, l2 ${s.l2}, density ${s.density} | **${quality(s.twoThreads)}** | ${s.twoThreads.fitSeconds.toFixed(2)} s | ${s.speedup.toFixed(0)}× | ${mebibytes(s.twoThreads.peakRssBytes)} | ${s.memoryRatio.toFixed(0)}× | ${s.threadSpeedup.toFixed(2)}× |`,
      `| the reference on it | ${quality(s.reference)} | ${s.reference.fitSeconds.toFixed(1)} s | | ${mebibytes(s.reference.peakRssBytes)} | | |`,
    );
  }
  lines.push(
    '',
    `Kernels beside the same loops in C (${kernels.compiler}), one core, time relative to C:`,
    '',
  );
  lines.push('| | column norms | columns of G | row update |', '|---|---|---|---|');
  for (const [name, k] of Object.entries(kernels.sets)) {
    const cell = (kernel: string) =>
      `${k[kernel]!.ratio.toFixed(2)} (${millions(k[kernel]!.pairsPerSecond)} pairs/s)`;
    lines.push(`| ${name} | ${cell('norms')} | ${cell('columns')} | ${cell('rowUpdate')} |`);
  }
  const above = memory.budgets.map(
    b => `${mebibytes(b.aboveBaseBytes)} under a budget of ${mebibytes(b.budgetBytes)}`,
  );
  const exponent = (name: string) => scale.exponents[name]!.fitSeconds.toFixed(2);
  lines.push(
    '',
    `Events through inbox, fold and stored Gramian (${millions(ingest.measured[0]!.entries)} entries): ${Math.round(ingest.eventsPerSecond / 1000)},000 a second.`,
    `Memory: the runtime's fixed base is ${mebibytes(memory.baseRssBytes)}; above it a fit of amazon-books-scale took ${above.join(', ')}.`,
    `Growth of the fit's time ([plots](test/bench/results/scale.svg)): pairs^${exponent('pairs')}, and one at a time n^${exponent('n')}, nnz^${exponent('nnz')}, density^${exponent('density')}.`,
  );
  return lines.join('\n');
}

/** The results that the README quotes. */
export const quoted = ['fit', 'kernels', 'ingest', 'memory', 'scale'] as const;

/** The README with its section of figures made anew. */
export const withFigures = (readme: string, results: Results): string =>
  readme.replace(
    /(<!-- figures -->\n)[\s\S]*?(\n?<!-- \/figures -->)/,
    (_, before: string) => `${before}${figures(results)}\n<!-- /figures -->`,
  );
