import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { loadSplit } from '../../connectors/duckdb/split.js';
import { degreeOrder } from '../../src/fit/order.js';
import { loadInteractions } from '../../src/gramian/interactions.js';
import { pairsBelow, strideOf } from '../../src/gramian/norms.js';
import { scratchBytesOf } from '../../src/gramian/update.js';
import { Arena } from '../../src/runtime/arena.js';
import { read, record, recordBytes } from '../../src/runtime/records.js';
import { type BenchOptions, dataSet, median, root } from './environment.js';

const flags = ['-O3', '-march=x86-64-v2'];

/** A loop that both sides have: its letter in `kernels.c`, the pairs it visits, the WebAssembly call. */
interface Loop {
  readonly letter: string;
  readonly pairs: number;
  readonly run: () => number;
}

/** The C program over the interactions in `file`; each call runs one loop and returns ms and a checksum. */
function openC(binary: string, file: string) {
  const child = spawn(binary, [file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(letter: string): Promise<readonly [ms: number, sum: number]> {
      child.stdin.write(`${letter}\n`);
      const [ms, sum] = String((await lines.next()).value)
        .split(' ')
        .map(Number);
      return [ms!, sum!];
    },
    close: () => child.stdin.end(),
  };
}

/** X of a data set in the arena, the loops over it, and the file from which the C program reads the same. */
async function prepare(train: string, test: string, file: string) {
  const { train: rows } = await loadSplit(train, test);
  const { n } = rows;
  const users = rows.users.length;
  const entries = rows.indices.length;
  const degrees = new Float64Array(n);
  for (const i of rows.indices) degrees[i]!++;
  const positions = new Int32Array(n);
  degreeOrder(degrees).forEach((item, k) => {
    positions[item] = k;
  });
  const arena = new Arena();
  const x = loadInteractions(arena, rows, positions);
  const stride = strideOf(x);
  const {
    indptr: Xp,
    positions: Xi,
    columns: Cp,
    user: Cu,
    rest: Cr,
  } = read(arena, 'Interactions', x.address);
  const parts = [
    Int32Array.of(users, n, entries, stride),
    arena.i32(Xp, users + 1),
    ...[arena.i32(Xi, entries), arena.i32(Cp, n + 1), arena.i32(Cu, entries), arena.i32(Cr, entries)],
  ];
  writeFileSync(file, Buffer.concat(parts.map(p => Buffer.from(p.buffer, p.byteOffset, p.byteLength))));

  const pairs = arena.f64(pairsBelow(arena, x), n).reduce((a, b) => a + b, 0);
  const whole = arena.copy(Int32Array.of(0, n), 'bounds');
  // One column a block: each goes to the same buffer, as in C.
  const each = arena.copy(
    Int32Array.from({ length: n + 1 }, (_, j) => j),
    'bounds',
  );
  const tallies = arena.zeros(16 * n, 'tallies');
  const sums = arena.zeros(64 + 4 * n, 'sums');
  const buffer = {
    lengths: arena.bytes(8 * (n + 1), 'buffer'),
    indices: arena.bytes(4 * (n + 16), 'buffer'),
    values: arena.bytes(4 * (n + 16), 'buffer'),
  };
  const lengths = arena.bytes(4 * (n + 16), 'buffer');
  const ready = arena.zeros(64, 'ring');
  // Counts packed above 17 bits of position, as a fit does where they fit.
  const slot = { bounds: each, ready, starts: lengths, indices: buffer.indices, values: 0 };
  const begin = { next: 0, consumed: 0, stopped: 0, kind: 0 };
  const ring = record(
    arena,
    'Ring',
    { blocks: n, slots: 1, width: 1, capacity: n + 1, stride, shift: 17, ...begin, ...slot },
    'ring',
  );
  const scratch = arena.zeros(scratchBytesOf(n, 4), 'sums');
  const lists = record(arena, 'Lines', { indptr: Xp, indices: Xi, values: 0 }, 'rows');
  const items = record(arena, 'Lines', { indptr: Cp, indices: Cu, values: 0 }, 'columns');
  const out = record(arena, 'Columns', buffer, 'buffer');
  const { kernels } = arena;
  const loops: Readonly<Record<string, Loop>> = {
    norms: {
      letter: 'n',
      pairs,
      run: () => {
        arena.u8(tallies, 16 * n).fill(0);
        kernels.norms(0, tallies, x.address, whole, stride);
        return Number(arena.i64(tallies + 8 * n, n).reduce((a, b) => a + b, 0n));
      },
    },
    columns: {
      letter: 'c',
      pairs,
      run: () => {
        arena.u8(sums, 64 + 4 * n).fill(0);
        return kernels.produceAll(sums, ring, x.address);
      },
    },
    rowUpdate: {
      letter: 'o',
      pairs: 2 * pairs + entries,
      run: () => {
        let sum = 0;
        const length = arena.i32(buffer.lengths, 1);
        for (let j = 0; j < n; j++) {
          kernels.outerOnes(j, scratch, n, lists, items, each, 0, out - recordBytes('Columns') * j, stride);
          sum += length[0]!;
        }
        return sum;
      },
    },
  };
  return loops;
}

/**
 * The hot loops in WebAssembly beside the same loops in C, one core, in turn, on the same data: medians in ms,
 * their ratio, and the pairs a second. The two must agree on a checksum.
 */
export async function benchKernels({ data, runs, log }: BenchOptions): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'sansa-stream-kernels-'));
  const binary = join(folder, 'kernels');
  execFileSync('gcc', [...flags, '-o', binary, join(root, 'test/bench/kernels.c')]);
  const results: Record<string, Record<string, object>> = {};
  for (const name of ['gowalla', 'amazon-books-scale']) {
    const { train, test } = dataSet(data, name);
    const file = join(folder, name);
    const loops = await prepare(train, test, file);
    const c = openC(binary, file);
    results[name] = {};
    for (const [kernel, loop] of Object.entries(loops)) {
      const [inWasm, inC, ratios]: number[][] = [[], [], []];
      for (let run = 0; run < 2 * runs + 1; run++) {
        const [cMs, cSum] = await c.run(loop.letter);
        const start = performance.now();
        const sum = loop.run();
        const ms = performance.now() - start;
        if (sum !== cSum) throw new Error(`${kernel}: ${sum}, and ${cSum} in C`);
        inWasm!.push(ms);
        inC!.push(cMs);
        ratios!.push(ms / cMs);
      }
      const ms = median(inWasm!);
      const measured = {
        ms,
        cMs: median(inC!),
        ratio: median(ratios!),
        pairs: loop.pairs,
        pairsPerSecond: loop.pairs / (ms / 1e3),
      };
      results[name]![kernel] = measured;
      log(
        `${name} ${kernel}: ${ms.toFixed(0)} ms, C ${measured.cMs.toFixed(0)} ms, ratio ${measured.ratio.toFixed(2)}`,
      );
    }
    c.close();
  }
  rmSync(folder, { recursive: true });
  return { compiler: `gcc ${flags.join(' ')}`, runs: 2 * runs + 1, sets: results };
}
