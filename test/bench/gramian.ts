import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSplit, type Split } from '../../connectors/duckdb/split.js';
import { evaluate } from '../../src/evaluate/evaluate.js';
import { fit } from '../../src/fit/fit.js';
import { buildSegment } from '../../src/gramian/build.js';
import { planGramian } from '../../src/gramian/plan.js';
import { openSegment, type Segment } from '../../src/gramian/segment.js';
import { sumSegments } from '../../src/gramian/sum.js';
import { fromNothing, type Rows } from '../../src/matrix/rows.js';
import { Arena } from '../../src/runtime/arena.js';
import { type FitOptions, fitOptions } from '../../src/solvers/index.js';
import { type BenchOptions, dataSet, median, root } from './environment.js';

const flags = ['-O3', '-march=x86-64-v2'];
const threads = 2;

/** Interactions of users with `least` to `most` items each, few with many, of `items` items, few of them popular. */
interface Kind {
  readonly items: number;
  readonly interactions: number;
  readonly least: number;
  readonly most: number;
  readonly options: object;
}

const kinds: Readonly<Record<string, Kind>> = {
  'sparse, 1 M, icf': {
    items: 100_000,
    interactions: 1e6,
    least: 8,
    most: 108,
    options: { solver: 'icf', density: 4e-5 },
  },
  'sparse, 5 M': { items: 100_000, interactions: 5e6, least: 8, most: 108, options: { neighbours: 20 } },
  'dense, 0.8 M, m 64': {
    items: 3_043,
    interactions: 8e5,
    least: 20,
    most: 900,
    options: { neighbours: 64 },
  },
  'dense, 3 M': { items: 3_000, interactions: 3e6, least: 20, most: 400, options: { neighbours: 20 } },
};

/** The same for the same kind on every machine. */
function generate({ items, interactions, least, most }: Kind): Rows {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  // a state numbers its items as they first appear
  const numbers = new Int32Array(items).fill(-1);
  let known = 0;
  const numberOf = (name: number) => {
    if (numbers[name] === -1) numbers[name] = known++;
    return numbers[name]!;
  };
  const indptr = [0];
  const indices: number[] = [];
  while (indices.length < interactions) {
    const d = least + Math.floor((most - least) * uniform() ** 6);
    const row = new Set<number>();
    for (let k = 0; k < d; k++) row.add(numberOf(Math.floor(items * uniform() ** 2.5)));
    for (const i of [...row].sort((x, y) => x - y)) indices.push(i);
    indptr.push(indices.length);
  }
  const users = Int32Array.from({ length: indptr.length - 1 }, (_, u) => u);
  return {
    n: items,
    users,
    indptr: Int32Array.from(indptr),
    indices: Int32Array.from(indices),
    values: undefined,
  };
}

/** Writes the plain arrays that `gramian.c` reads. */
function writePlain(path: string, segment: Segment): void {
  const arena = new Arena();
  const { n, nnz } = segment;
  const lengths = new Float64Array(n);
  segment.columns.forEach((item, k) => {
    lengths[item] = segment.lengths[k]!;
  });
  const indptr = new BigInt64Array(n + 1);
  for (let j = 0; j < n; j++) indptr[j + 1] = indptr[j]! + BigInt(lengths[j]!);
  const reach = new Float64Array(n);
  const { diagonal } = segment.facts(arena);
  segment.columns.forEach((item, k) => {
    reach[item] = diagonal[k]! ** -0.3;
  });
  const fd = openSync(path, 'w');
  const put = (array: NodeJS.ArrayBufferView, at: number) => writeSync(fd, array, 0, array.byteLength, at);
  put(indptr, 0);
  put(reach, indptr.byteLength);
  let at = indptr.byteLength + reach.byteLength;
  for (const { indices, values } of sumSegments(arena, [segment], n)) {
    put(indices.slice(), at);
    put(Int32Array.from(values), at + 4 * nnz);
    at += 4 * indices.length;
  }
  closeSync(fd);
}

/** One kind: fits from X and from the segment in turn, the plan's choice, and the bare pass in C. */
async function compare(folder: string, rows: Rows, options: FitOptions, runs: number, binary: string) {
  const built = performance.now();
  const file = await buildSegment(folder, 1, fromNothing(rows), threads, options.userWeighting);
  const buildSeconds = (performance.now() - built) / 1e3;
  if (!file) throw new Error('the Gramian is empty');
  const path = join(folder, file.file);
  const inputs = {
    implicit: { mode: 'implicit', rows, scale: 1 },
    stored: { mode: 'stored', paths: [path], n: rows.n, scale: 1 },
  } as const;
  const seconds = { implicit: [] as number[], stored: [] as number[] };
  const processor = { implicit: [] as number[], stored: [] as number[] };
  const c: number[] = [];
  const plain = join(folder, 'plain');
  const segment = openSegment(path);
  writePlain(plain, segment);
  segment.close();
  for (let run = 0; run <= runs; run++) {
    for (const mode of ['implicit', 'stored'] as const) {
      const [start, used] = [performance.now(), process.cpuUsage()];
      await fit(inputs[mode], options, { threads });
      const [wall, { user, system }] = [(performance.now() - start) / 1e3, process.cpuUsage(used)];
      if (run === 0) continue; // compiles the kernels
      seconds[mode].push(wall);
      processor[mode].push((user + system) / 1e6);
    }
    const args = [plain, String(rows.n), String(file.nnz)];
    c.push(Number(execFileSync(binary, args, { encoding: 'utf8' }).split(' ')[0]) / 1e3);
  }
  let pairs = 0;
  for (let r = 0; r < rows.users.length; r++) pairs += (rows.indptr[r + 1]! - rows.indptr[r]!) ** 2;
  const size = { items: rows.n, pairs };
  const times = { implicit: median(seconds.implicit), stored: median(seconds.stored) };
  const best = Math.min(times.implicit, times.stored);
  const choices = {
    unseen: planGramian(size, undefined),
    seen: planGramian({ ...size, entries: file.nnz }, undefined),
  };
  const { bytes } = statSync(path).size === file.bytes ? file : { bytes: Number.NaN };
  return {
    interactions: rows.indices.length,
    ...size,
    entries: file.nnz,
    bytes,
    bytesAnEntry: bytes / file.nnz,
    buildSeconds,
    seconds: times,
    processorSeconds: { implicit: median(processor.implicit), stored: median(processor.stored) },
    storedToImplicit: median(seconds.stored.map((s, k) => s / seconds.implicit[k]!)),
    choices,
    chosenToBest: Math.max(times[choices.unseen], times[choices.seen]) / best,
    bareSeconds: median(c),
    storedToBare: times.stored / median(c),
  };
}

/** Gowalla by fits from views that keep so many rows of each column: figures, entries and seconds beside the exact ones. */
async function comparePruned(folder: string, { train, test, scale }: Split, options: FitOptions) {
  const file = await buildSegment(folder, scale, fromNothing(train), threads, options.userWeighting);
  const paths = [join(folder, file!.file)];
  const measured = async (keep?: number) => {
    const pruning = keep === undefined ? undefined : { keep, alpha: 0.3, directory: folder };
    const input = { mode: 'stored', paths, n: train.n, scale, pruning } as const;
    const time = async () => {
      const start = performance.now();
      const { model } = await fit(input, options, { threads });
      return { model, seconds: (performance.now() - start) / 1e3 };
    };
    const first = await time();
    const again = await time();
    const view = readdirSync(folder).find(name => name.startsWith('pruned-'));
    const segment = openSegment(view === undefined ? paths[0]! : join(folder, view));
    segment.close();
    const { recall, ndcg } = await evaluate(first.model, train, test, 20, { threads });
    const figures = { 'recall@20': recall, 'ndcg@20': ndcg };
    return { entries: segment.nnz, firstSeconds: first.seconds, seconds: again.seconds, ...figures };
  };
  return { exact: await measured(), 'keep 200': await measured(200), 'keep 100': await measured(100) };
}

/** Fits from a stored Gramian beside those from X, and beside a bare pass over the same entries in C. */
export async function benchGramian({ data, runs, log }: BenchOptions): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'sansa-stream-gramian-'));
  try {
    const binary = join(folder, 'gramian');
    execFileSync('gcc', [...flags, '-o', binary, join(root, 'test/bench/gramian.c'), '-lpthread']);
    const found: Record<string, object> = {};
    const measure = async (name: string, rows: Rows, options: object) => {
      const own = mkdtempSync(join(folder, 'kind-'));
      found[name] = await compare(own, rows, fitOptions.parse({ solver: 'fsai', ...options }), runs, binary);
      rmSync(own, { recursive: true });
      log(`${name}: ${JSON.stringify(found[name])}`);
    };
    for (const [name, kind] of Object.entries(kinds)) await measure(name, generate(kind), kind.options);
    const { train, test } = dataSet(data, 'gowalla');
    const gowalla = await loadSplit(train, test);
    await measure('gowalla', gowalla.train, {});
    const pruned = await comparePruned(folder, gowalla, fitOptions.parse({ solver: 'fsai', neighbours: 20 }));
    log(`pruned: ${JSON.stringify(pruned)}`);
    return { compiler: `gcc ${flags.join(' ')}`, threads, runs, kinds: found, pruned };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
