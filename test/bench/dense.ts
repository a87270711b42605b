import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  addGram,
  clear,
  type Dense,
  gather,
  multiply,
  scatter,
  zeroDense,
  zeroSquare,
} from '../../src/matrix/dense.js';
import { type Address, Arena } from '../../src/runtime/arena.js';
import { record } from '../../src/runtime/records.js';
import { Threads } from '../../src/runtime/threads.js';
import { type BenchOptions, median, root } from './environment.js';

const flags = ['-O3', '-march=x86-64-v2'];

/** Sizes and contents as in `dense.c`. */
const [width, rows, items, each, kept] = [256, 4096, 3000, 60, 32];

interface Loop {
  /** Its letter in `dense.c`. */
  readonly letter: string;
  /** Multiplications and additions, counted apart. */
  readonly operations: number;
  readonly prepare?: () => unknown;
  readonly run: () => void;
  readonly out: Float32Array;
}

/** Rows of `count` entries with the value 1, or those in `values`. */
function sparseRows(
  arena: Arena,
  lines: number,
  count: number,
  column: (e: number) => number,
  values: Address,
) {
  const parts = {
    indptr: arena.copy(
      Int32Array.from({ length: lines + 1 }, (_, i) => i * count),
      'rows',
    ),
    indices: arena.copy(
      Int32Array.from({ length: lines * count }, (_, e) => column(e)),
      'rows',
    ),
    values,
  };
  return { rows: lines, ...parts, record: record(arena, 'Lines', parts, 'rows') };
}

/** The loops on one thread. */
function loopsOf(arena: Arena, threads: Threads): Readonly<Record<string, Loop>> {
  const numbers = (x: Float32Array) =>
    x.forEach((_, i) => {
      x[i] = Math.fround(Math.fround((Math.imul(i, 2654435761) >>> 0) / 2 ** 32) - 0.25);
    });
  const view = ({ address }: { readonly address: Address }, count: number) => arena.f32(address, count);
  const dense = (count: number): Dense => {
    const B = zeroDense(arena, count, width, 'a matrix');
    numbers(view(B, count * width));
    return B;
  };
  const [A, Y, Z] = [dense(items), dense(rows), dense(rows)];
  const [S, C] = [zeroSquare(arena, width, 'a square'), zeroSquare(arena, width, 'a square')];
  numbers(view(S, width * width));
  const values = arena.bytes(4 * items * kept, 'values');
  numbers(arena.f32(values, items * kept));
  const X = sparseRows(arena, rows, each, e => (Math.floor(e / each) * 31 + (e % each) * 47) % items, 0);
  const K = sparseRows(arena, items, kept, f => (Math.floor(f / kept) * 13 + (f % kept) * 7) % width, values);
  const cursor = arena.bytes(4 * rows, 'cursor');
  const ofRows = view(Y, rows * width);
  return {
    gather: {
      letter: 'g',
      operations: rows * each * width,
      out: ofRows,
      prepare() {
        clear(arena, Y);
        arena.i32(cursor, rows).set(arena.i32(X.indptr, rows));
      },
      run: () => gather(threads, X, { cursor, first: 0, limit: items }, A, Y),
    },
    multiply: {
      letter: 'm',
      operations: 2 * rows * width ** 2,
      out: view(Z, rows * width),
      run: () => multiply(threads, Y, S, Z),
    },
    gram: {
      letter: 'c',
      operations: rows * width * (width + 64),
      out: view(C, width * width),
      prepare: () => view(C, width * width).fill(0),
      run: () => addGram(arena, threads, Y, 0, C),
    },
    scatter: {
      letter: 's',
      operations: 2 * rows * each * kept,
      out: ofRows,
      prepare: () => clear(arena, Y),
      run: () => scatter(threads, X, 0, K, Y),
    },
  };
}

/** Medians of runs in turn: each kernel of dense matrices beside the same loop in C, in time of the processor. */
export async function benchDense({ runs, log }: BenchOptions): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'sansa-stream-dense-'));
  process.once('exit', () => rmSync(folder, { recursive: true }));
  const binary = join(folder, 'dense');
  execFileSync('gcc', [...flags, '-o', binary, join(root, 'test/bench/dense.c')]);
  const arena = new Arena();
  const threads = new Threads(arena, 1);
  const results: Record<string, object> = {};
  for (const [name, { letter, operations, prepare = () => {}, run, out }] of Object.entries(
    loopsOf(arena, threads),
  )) {
    const [ours, ratios]: [number[], number[]] = [[], []];
    const input = `g\n${letter}\n${letter}\n${letter}\n`; // the first makes Y what it is here
    prepare();
    run(); // compiles
    for (let k = 0; k < runs; k++) {
      const lines = execFileSync(binary, { input, encoding: 'utf8' }).trim().split('\n').slice(1);
      const found = lines.map(line => line.split(' ').map(Number) as [ms: number, sum: number]);
      const times = found.map(() => {
        prepare();
        const before = process.cpuUsage();
        run();
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1e3;
      });
      const [sum, theirs] = [out.reduce((a, b) => a + b, 0), found[0]![1]];
      if (!(Math.abs(sum / theirs - 1) < 1e-3)) throw new Error(`${name}: the sums are ${sum} and ${theirs}`);
      ours.push(median(times));
      ratios.push(median(times) / median(found.map(([ms]) => ms)));
    }
    results[name] = { ratioToC: median(ratios), gigaflops: operations / median(ours) / 1e6 };
    log(`${name}: ${JSON.stringify(results[name])}`);
  }
  await threads.close();
  return { compiler: `gcc ${flags.join(' ')}`, runs, width, rows, ...results };
}
