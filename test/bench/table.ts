/** The figures that the manual quotes, made from the written results; a test compares the two. */

/** A result file as `bench` writes it, as far as the table reads it. */
export interface Results {
  readonly fit: {
    readonly environment: { readonly cpu: string; readonly cores: number; readonly node: string };
    readonly reference: string;
    readonly sets: Readonly<Record<string, FitSet>>;
  };
  readonly fsai: { readonly cases: readonly FsaiCase[] };
  readonly defaults: {
    readonly sets: Readonly<Record<string, Readonly<Record<'defaults' | 'tuned' | 'ratio', number>>>>;
  };
  readonly kernels: {
    readonly compiler: string;
    readonly sets: Readonly<
      Record<string, Readonly<Record<string, { ratio: number; pairsPerSecond: number }>>>
    >;
  };
  readonly ingest: { readonly eventsPerSecond: number; readonly measured: readonly { entries: number }[] };
  readonly scale: {
    readonly exponents: Readonly<Record<string, { fitSeconds: number; peakRssBytes?: number }>>;
  };
  readonly kafka: Readonly<
    Record<'eventsPerSecond' | 'ratioToBareConsumer' | 'listsPerSecond' | 'listsPerSecondAgain', number>
  >;
  readonly 'publish-redis': Publication;
  readonly 'publish-lmdb': Publication;
  /** Where it was measured. */
  readonly solvers?: { readonly sets: Readonly<Record<string, Readonly<Record<string, SolverFigures>>>> };
}

interface Publication {
  readonly set: string;
  readonly sink: string;
  readonly k: number;
  readonly users: number;
  readonly items: number;
  readonly listsPerSecond: number;
  readonly peakRssBytes: number;
  readonly rollbackSeconds: number;
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

interface FsaiCase extends Run {
  readonly name: string;
  readonly options: string;
  readonly parameters: number;
  readonly serving: {
    readonly width: number;
    readonly loss: number;
    readonly speedup: number;
    readonly scoreSeconds: number;
    readonly 'recall@20': number;
    readonly 'ndcg@20': number;
  };
  readonly reference: Pick<Run, 'fitSeconds' | 'recall@20' | 'ndcg@20'>;
  readonly speedup: number;
}

const quality = (r: Pick<Run, 'recall@20' | 'ndcg@20'>): string =>
  `${r['recall@20'].toFixed(4)} / ${r['ndcg@20'].toFixed(4)}`;

/** FSAI, and what its defaults are worth. */
function fsaiFigures({ fsai, defaults }: Results): string[] {
  const rows = fsai.cases.map(
    c =>
      `| ${c.name}, ${c.options.replaceAll('--', '')} | **${quality(c)}** | ${quality(c.serving)} | ${(c.parameters / 2e6).toFixed(2)} M | ${c.fitSeconds.toFixed(2)} s | ${c.speedup.toFixed(0)}× | ${mebibytes(c.peakRssBytes)} | ${c.serving.scoreSeconds.toFixed(2)} s, ${c.serving.speedup.toFixed(0)}× |`,
  );
  const sets = Object.entries(defaults.sets).map(
    ([name, { ratio }]) => `${name} ${(100 * ratio).toFixed(1)}%`,
  );
  return [
    'FSAI (recall@20 / ndcg@20 of the layers and of the serving matrix, parameters of a layer; scoring of all users through the serving matrix, and how much faster that is than through the layers):',
    '',
    '| | layers | serving matrix | parameters | fit | faster than the reference | peak memory | scoring |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    `NDCG@20 of FSAI's defaults as a share of what tuned options reach: ${sets.join('; ')}.`,
    '',
  ];
}

/** What goes through the sinks and Kafka's source. */
function streamFigures(results: Results): string[] {
  const { kafka } = results;
  const names = quoted.filter(name => name.startsWith('publish-')) as `publish-${'redis' | 'lmdb'}`[];
  const rows = names.map(name => {
    const p = results[name];
    const lists = (p.users + p.items).toLocaleString('en-US');
    return `| ${p.sink}, ${p.set} | ${lists} of ${p.k} | ${thousands(p.listsPerSecond)} | ${mebibytes(p.peakRssBytes)} | ${p.rollbackSeconds.toFixed(2)} s |`;
  });
  return [
    'Publishing (scored, encoded and stored, the server on the same machine), and the command that rolls it back:',
    '',
    '| | lists | lists a second | peak memory of the publisher | rollback |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `Kafka: ${thousands(kafka.eventsPerSecond)} events a second from a topic into the durable inbox, ${kafka.ratioToBareConsumer.toFixed(2)} of what a bare consumer takes that parses them and does nothing; ${thousands(kafka.listsPerSecond)} lists of 20 items a second into topics (${thousands(kafka.listsPerSecondAgain)} over others).`,
    '',
  ];
}

const thousands = (x: number): string => `${Math.round(x / 1000)},000`;
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
const millions = (x: number): string => `${Math.round(x / 1e6)} M`;

type Figures20 = Readonly<Partial<Record<'recall@20' | 'ndcg@20', number | undefined>>>;

/** What is compared of a run, or why there is none. */
export interface SolverFigures extends Figures20 {
  readonly serving?: Figures20 | undefined;
  readonly fitSeconds?: number | undefined;
  readonly peakRssBytes?: number | undefined;
  readonly parameters?: number | undefined;
  readonly error?: { readonly code: string };
}

/** The table of all sets and solvers, as Markdown. */
export function tableOf(sets: Readonly<Record<string, Readonly<Record<string, SolverFigures>>>>): string {
  const cells = ({ error, fitSeconds, peakRssBytes, parameters, serving, ...layers }: SolverFigures) => {
    if (error) return [error.code, '', '', '', ''];
    const both = (x: Figures20 | undefined) =>
      x ? `${x['recall@20']!.toFixed(4)} / ${x['ndcg@20']!.toFixed(4)}` : '';
    return [
      both(layers),
      both(serving),
      `${fitSeconds!.toFixed(2)} s`,
      mebibytes(peakRssBytes!),
      `${(parameters! / 1e6).toFixed(2)} M`,
    ];
  };
  const rows = Object.entries(sets).flatMap(([set, solvers]) =>
    Object.entries(solvers).map(([solver, figures]) => [set, solver, ...cells(figures)]),
  );
  const head = ['', 'solver', 'layers', 'served', 'fit', 'peak memory', 'parameters'];
  return [head, head.map(() => '---'), ...rows].map(row => `| ${row.join(' | ')} |`).join('\n');
}

/** The sets of which the manual shows every solver. */
const shown = ['gowalla', 'generated, 3,000 items'];

/** All solvers with their defaults. */
function solverFigures({ sets }: NonNullable<Results['solvers']>): string[] {
  const some = Object.entries(sets).filter(([name]) => shown.includes(name));
  return [
    'Every solver with its defaults (recall@20 / ndcg@20), and the references beside them:',
    '',
    tableOf(Object.fromEntries(some)),
    '',
  ];
}

/** The manual's section of measured figures, in Markdown. */
export function figures(results: Results): string {
  const { fit, kernels, ingest, scale } = results;
  const lines = [
    `Measured with \`npm run -s bench -- fit|fsai|defaults|publish|kafka|kernels|ingest|scale\` on ${fit.environment.cores} cores (${fit.environment.cpu}, Node ${fit.environment.node}); medians, each`,
    `beside its reference in the same run. The reference is ${fit.reference} from PyPI at the same settings.`,
    '',
    '| | recall@20 / ndcg@20 | fit, 2 threads | faster than the reference | peak memory | less memory | 2 threads : 1 |',
    '|---|---|---|---|---|---|---|',
  ];
  for (const [name, s] of Object.entries(fit.sets)) {
    lines.push(
      `| ${name}, l2 ${s.l2}, density ${s.density} | **${quality(s.twoThreads)}** | ${s.twoThreads.fitSeconds.toFixed(2)} s | ${s.speedup.toFixed(0)}× | ${mebibytes(s.twoThreads.peakRssBytes)} | ${s.memoryRatio.toFixed(0)}× | ${s.threadSpeedup.toFixed(2)}× |`,
      `| the reference on it | ${quality(s.reference)} | ${s.reference.fitSeconds.toFixed(1)} s | | ${mebibytes(s.reference.peakRssBytes)} | | |`,
    );
  }
  lines.push(
    '',
    ...fsaiFigures(results),
    ...(results.solvers ? solverFigures(results.solvers) : []),
    ...streamFigures(results),
    `Kernels beside the same loops in C (${kernels.compiler}), one core, time relative to C:`,
    '',
  );
  lines.push('| | column norms | columns of G | row update |', '|---|---|---|---|');
  for (const [name, k] of Object.entries(kernels.sets)) {
    const cell = (kernel: string) =>
      `${k[kernel]!.ratio.toFixed(2)} (${millions(k[kernel]!.pairsPerSecond)} pairs/s)`;
    lines.push(`| ${name} | ${cell('norms')} | ${cell('columns')} | ${cell('rowUpdate')} |`);
  }
  const exponent = (name: string) => scale.exponents[name]!.fitSeconds.toFixed(2);
  lines.push(
    '',
    `Events through inbox, fold and stored Gramian (${millions(ingest.measured[0]!.entries)} entries): ${Math.round(ingest.eventsPerSecond / 1000)},000 a second.`,
    `Growth of the fit's time ([plots](results/scale.svg)): pairs^${exponent('pairs')}, and one at a time n^${exponent('n')}, nnz^${exponent('nnz')}, density^${exponent('density')}.`,
  );
  return lines.join('\n');
}

/** The results that the manual quotes. */
export const quoted = [
  'fit',
  'fsai',
  'defaults',
  'kernels',
  'ingest',
  'scale',
  'kafka',
  'publish-redis',
  'publish-lmdb',
] as const;

/** Results that the manual quotes where there are any. */
export const optional = ['solvers'] as const;

/** A page with its section of figures made anew. */
export const withFigures = (readme: string, results: Results): string =>
  readme.replace(
    /(<!-- figures -->\n)[\s\S]*?(\n?<!-- \/figures -->)/,
    (_, before: string) => `${before}${figures(results)}\n<!-- /figures -->`,
  );
