/** The package as users get it: what is in it, how it is installed, and how fast a command starts. */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSql } from './support/duckdb.js';
import { blocksOf, root } from './support/manual.js';

const directory = mkdtempSync(join(tmpdir(), 'sansa-stream-package-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Packed {
  readonly filename: string;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

let packed: Packed;
beforeAll(() => {
  // Without scripts: the build is there, and other tests run on it.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', directory];
  [packed] = JSON.parse(execFileSync('npm', args, { cwd: root, encoding: 'utf8' })) as [Packed];
});

it('holds the product, its manual and the data of the demo, and no tests', () => {
  const paths = packed.files.map(f => f.path);
  const wanted = [
    'dist/cli/cli.js',
    'dist/cli/LICENCES',
    'dist/pipeline.schema.json',
    'dist/src/kernels.wasm',
    'dist/src/runtime/worker.js',
    'dist/examples/online-retail/demo.js',
    'examples/data/online-retail.parquet',
    'jobs/README.md',
    'connectors/redis/README.md',
    'src/solvers/README.md',
    'README.md',
    'LICENSE',
  ];
  expect(paths).toEqual(expect.arrayContaining(wanted));
  expect(paths.filter(path => /(^|\/)test\/|bundle|\.parquet$/.test(path))).toEqual([
    'examples/data/online-retail.parquet',
  ]);
  expect(packed.unpackedSize).toBeLessThan(12e6);
});

it('runs no script of ours where it is installed', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
});

describe('in an empty folder', () => {
  it('goes from the installation to a list of own data in the five commands of the README', async () => {
    const folder = join(directory, 'empty');
    const block = blocksOf('README.md').find(({ code }) => code.includes('npm install sansa-stream'))!;
    const commands = block.code.trim().split('\n');
    expect(commands.length).toBe(5);
    execFileSync('mkdir', [folder]);
    const rows = `SELECT 'user-' || (k % 40) AS customer, 'sku-' || ((k * k + k // 40) % 23) AS product FROM range(900) r(k)`;
    await runSql(':memory:', `COPY (${rows}) TO '${join(folder, 'events.csv')}'`);
    const script = commands
      .join('\n')
      .replace(
        'npm install sansa-stream',
        `npm install --no-audit --no-fund ${join(directory, packed.filename)}`,
      );
    const run = promisify(execFile);
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: folder,
      timeout: 300_000,
    });
    expect(stdout).toMatch(/^ {2}1 {2}\d+\.\d{4} {2}sku-\d+$/m);
    expect(stdout).toMatch(/^ {2}9 {2}/m);
  }, 300_000);
});

/** Seconds of CPU of a command line, the median of some runs: a loaded machine changes it little. */
function cpuSeconds(...args: readonly string[]): number {
  const hook =
    'data:text/javascript,process.on("exit",()=>process.stderr.write("\\ncpu "+JSON.stringify(process.cpuUsage())))';
  const seconds = Array.from({ length: 7 }, () => {
    const command = ['--import', hook, join(root, 'dist/cli/cli.js'), ...args];
    const { stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
    const { user, system } = JSON.parse(/cpu (.*)$/.exec(stderr)![1]!) as Record<'user' | 'system', number>;
    return (user + system) / 1e6;
  });
  return seconds.sort((a, b) => a - b)[3]!;
}

it('starts a command in a quarter of a second, and says its version in half of that', () => {
  expect(cpuSeconds('--version')).toBeLessThan(0.13);
  const example = join(root, 'examples/online-retail/pipeline.yaml');
  expect(cpuSeconds('validate', '-c', example)).toBeLessThan(0.3);
});
