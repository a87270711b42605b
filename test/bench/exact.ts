import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { factorize } from '../../src/matrix/cholesky.js';
import { invertLower, multiplyInverse } from '../../src/matrix/inverse.js';
import { entriesOf, indexOf, type Precision, zeroTiles } from '../../src/matrix/tiles.js';
import { Arena } from '../../src/runtime/arena.js';
import { Threads } from '../../src/runtime/threads.js';
import { type BenchOptions, median, root } from './environment.js';
import { referencePython } from './reference.js';

const flags = ['-O3', '-march=x86-64-v2'];

/** Items of the comparison with C, on one thread, and of that with numpy, on all. */
const sizes = { kernels: 1500, numpy: 3000 };

interface Inverse {
  readonly trace: number;
  readonly seconds: number;
  /** Of all threads together. */
  readonly processorSeconds: number;
}

/** The inverse of A_ij = 1 / (1 + |i − j|) + 5 δ_ij: n³ multiplications and additions, counted apart. */
function invert(arena: Arena, threads: Threads, n: number, precision: Precision): Inverse {
  const mark = arena.mark();
  const A = zeroTiles(arena, n, precision);
  const entries = entriesOf(arena, A);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) entries[indexOf(precision, i, j)] = 1 / (1 + i - j) + (i === j ? 5 : 0);
  }
  const [start, used] = [performance.now(), process.cpuUsage()];
  const factor = factorize(arena, threads, A);
  if (!factor.ok) throw new Error(`no inverse at ${n}: column ${factor.column}`);
  invertLower(arena, threads, A, factor.inverses);
  multiplyInverse(arena, threads, A);
  const [seconds, { user, system }] = [(performance.now() - start) / 1e3, process.cpuUsage(used)];
  let trace = 0;
  for (let i = 0; i < n; i++) trace += entries[indexOf(precision, i, i)]!;
  arena.release(mark);
  return { trace, seconds, processorSeconds: (user + system) / 1e6 };
}

function assertSame(found: number, expected: number, precision: Precision): void {
  if (!(Math.abs(found / expected - 1) < (precision === 'float32' ? 1e-5 : 1e-11)))
    throw new Error(`the traces of the inverses are ${found} and ${expected}`);
}

/** Medians of runs in turn: the dense inverse beside the same loops in C, and beside numpy's. */
export async function benchExact({ runs, log }: BenchOptions): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'sansa-stream-exact-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const binary = join(folder, 'exact');
  execFileSync('gcc', [...flags, '-o', binary, join(root, 'test/bench/exact.c'), '-lm']);
  const python = referencePython(log);
  // These would choose kernels of another processor for OpenBLAS.
  const { OPENBLAS_CORETYPE: _type, OPENBLAS_L2_SIZE: _size, ...env } = process.env;
  const arena = new Arena();
  const [one, all] = [new Threads(arena, 1), new Threads(arena, 2)];
  const results: Record<string, object> = {};
  for (const precision of ['float64', 'float32'] as const) {
    const letter = precision === 'float64' ? 'd' : 'f';
    const [ours, ratios, seconds, numpy]: number[][] = [[], [], [], []];
    invert(arena, one, 128, precision); // compiles the kernels
    for (let run = 0; run < runs; run++) {
      const output = execFileSync(binary, { input: `${letter} ${sizes.kernels}\n`, encoding: 'utf8' });
      const [ms, trace] = output.split(' ').map(Number);
      const small = invert(arena, one, sizes.kernels, precision);
      assertSame(small.trace, trace!, precision);
      ours!.push(small.processorSeconds);
      ratios!.push((small.processorSeconds * 1e3) / ms!);
      const large = invert(arena, all, sizes.numpy, precision);
      seconds!.push(large.seconds);
      const args = [join(root, 'test/bench/exact.py'), String(sizes.numpy), precision];
      const theirs = JSON.parse(
        execFileSync(python, args, { encoding: 'utf8', env: { ...env, OPENBLAS_NUM_THREADS: '2' } }),
      ) as { readonly seconds: number; readonly trace: number };
      assertSame(large.trace, theirs.trace, precision);
      numpy!.push(theirs.seconds);
    }
    const gigaflops = (n: number, time: number) => n ** 3 / time / 1e9;
    results[precision] = {
      kernels: {
        items: sizes.kernels,
        ratioToC: median(ratios!),
        gigaflops: gigaflops(sizes.kernels, median(ours!)),
      },
      inverse: {
        items: sizes.numpy,
        threads: 2,
        seconds: median(seconds!),
        gigaflops: gigaflops(sizes.numpy, median(seconds!)),
        numpySeconds: median(numpy!),
        numpyGigaflops: gigaflops(sizes.numpy, median(numpy!)),
      },
    };
    log(`${precision}: ${JSON.stringify(results[precision])}`);
  }
  await Promise.all([one.close(), all.close()]);
  return { compiler: `gcc ${flags.join(' ')}`, runs, ...results };
}
