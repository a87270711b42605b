import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StageError } from '../../src/errors.js';

/** Root of the repository, from the built benchmark. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
/** The built CLI. */
export const cli = join(root, 'dist/cli/cli.js');
const results = join(root, 'test/bench/results');

/** What a benchmark is told on its command line. */
export interface BenchOptions {
  /** Sizes of states for `fold`, rows of the history for `warehouse`. */
  readonly rows?: readonly number[] | undefined;
  /** Sizes of catalogues for `catalogue`. */
  readonly items?: readonly number[] | undefined;
  /** Directory with `gowalla/` and `amazon-books-scale/`. */
  readonly data: string;
  /** Measured runs; medians are reported. */
  readonly runs: number;
  readonly log: (line: string) => void;
  /** publish: where to, how many users (those of the data set without it), and the length of the lists. */
  readonly sink?: string | undefined;
  readonly users?: number | undefined;
  readonly k?: number | undefined;
}

/** Where and with what something was measured. */
export function environment() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    version: manifest.version,
    date: new Date().toISOString().slice(0, 10),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Writes `<name>.json`, or another file, beside the earlier results. */
export function writeResult(name: string, content: string): void {
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, name), content);
}

/** Runs the CLI with `--json` in a process of its own and returns what it prints. */
export function runCli(args: readonly string[]): Record<string, unknown> {
  const options: ExecFileSyncOptionsWithStringEncoding = {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  };
  return JSON.parse(execFileSync(process.execPath, [cli, ...args, '--json'], options)) as Record<
    string,
    unknown
  >;
}

/** The train and test files of a data set; an error says where they were looked for. */
export function dataSet(data: string, name: string): { readonly train: string; readonly test: string } {
  const files = { train: join(data, name, 'train.parquet'), test: join(data, name, 'test.parquet') };
  if (!existsSync(files.train)) {
    throw new StageError(
      'USAGE',
      `${files.train}: expected the data set, found none; name its directory with --data`,
    );
  }
  return files;
}
