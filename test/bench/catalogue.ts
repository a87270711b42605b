import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSegmentWriter } from '../../src/gramian/segment-writer.js';
import { unitsOf } from '../../src/gramian/weights.js';
import { Arena } from '../../src/runtime/arena.js';
import type { BenchOptions } from './environment.js';

const memory = '4GiB';
const scale = 1;
const userWeighting = 0.5;
/** Draws of a column, of which those that are distinct and more popular stay: about 100 of them. */
const DRAWS = 130;
const KEPT = 100;
/** Columns that are written at a time. */
const BLOCK = 4096;

/** Numbers from 0 to 1, the same on every machine. */
function uniforms(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Users of each item: items are numbered as they first appear, and older ones tend to be more popular. */
function popularities(n: number): Float64Array {
  const next = uniforms();
  return Float64Array.from({ length: n }, (_, i) => 5 + Math.floor((n / (i + 1)) ** 0.8 * (0.3 + next())));
}

/**
 * Writes a pruned Gramian of n items to `directory`, a block of columns at a time: of each column its diagonal entry and about
 * 100 rows of more popular items, few of which most columns have in common. Returns the file, its entries and its bytes.
 */
function generate(directory: string, n: number) {
  const arena = new Arena();
  const writer = openSegmentWriter(arena, directory, n, scale, userWeighting, { density: '0.0001' });
  const [next, users] = [uniforms(), popularities(n)];
  const unit = unitsOf(scale, userWeighting);
  const indices = arena.i32(arena.bytes(4 * BLOCK * (KEPT + 1), 'rows'), BLOCK * (KEPT + 1));
  const values = arena.f64(arena.bytes(8 * BLOCK * (KEPT + 1), 'values'), BLOCK * (KEPT + 1));
  let at = 0;
  const put = (row: number, common: number) => {
    indices[at] = row;
    values[at++] = Math.ceil(common * unit * (0.2 + 0.1 * next()));
  };
  const column = (j: number) => {
    const [begin, own, span] = [at, users[j]!, Math.min(n, 2 * j + 200)];
    for (let s = 0, last = -1, passed = false; s <= DRAWS; s++) {
      // ascending, as each is of a stratum of its own
      const u = (s + next()) / DRAWS;
      const row = s === DRAWS ? n : Math.floor(span * u * u * u);
      if (!passed && row >= j) {
        put(j, own);
        passed = true;
      }
      if (s === DRAWS || row <= last || row === j || at - begin > KEPT - (passed ? 0 : 1)) continue;
      const [common, more] = [Math.min(own, users[row]!), users[row]! > own];
      const share = next();
      if (more) put(row, 1 + 0.5 * common * share * share * share * share);
      last = row;
    }
    return at - begin;
  };
  for (let first = 0; first < n; first += BLOCK) {
    at = 0;
    const lengths = Int32Array.from({ length: Math.min(BLOCK, n - first) }, (_, c) => column(first + c));
    writer.write({ first, lengths, indices: indices.subarray(0, at), values: values.subarray(0, at) });
  }
  const { file, nnz, bytes } = writer.finish();
  writer.close();
  return { path: join(directory, file), entries: nnz, bytes };
}

type Fitted = ReturnType<typeof measure>;

/** Generates a catalogue and fits it within the budget, in a process of its own. */
function measure(directory: string, items: number) {
  const begin = performance.now();
  const { path, entries, bytes } = generate(directory, items);
  const generateSeconds = (performance.now() - begin) / 1e3;
  const script = fileURLToPath(new URL('catalogue-fit.js', import.meta.url));
  const out = join(directory, 'weights.safetensors');
  const args = [script, path, String(items), String(scale), memory, out];
  const fitted = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as {
    readonly seconds: number;
    readonly processorSeconds: number;
  };
  const weightsBytes = statSync(out).size;
  return { items, entries, segmentBytes: bytes, generateSeconds, weightsBytes, ...fitted };
}

/**
 * Fits of catalogues of several sizes from pruned Gramians of about 100 entries an item, under one budget: seconds, bytes read
 * and most memory of each, and the exponent with which seconds grow from each size to the next one, and from the first to the last.
 */
export async function benchCatalogue({ items = [1e6, 3e6, 1e7], log }: BenchOptions): Promise<object> {
  const fits: Fitted[] = [];
  for (const n of items) {
    const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-catalogue-'));
    try {
      fits.push(measure(directory, n));
      log(JSON.stringify(fits.at(-1)));
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  const growth = (of: 'seconds' | 'processorSeconds') => {
    const exponent = (a: Fitted, b: Fitted) => Math.log(b[of] / a[of]) / Math.log(b.items / a.items);
    const steps = fits.slice(1).map((fit, k) => exponent(fits[k]!, fit));
    return { steps, overall: fits.length > 1 ? exponent(fits[0]!, fits.at(-1)!) : undefined };
  };
  return { memory, fits, exponents: growth('seconds'), processorExponents: growth('processorSeconds') };
}
