/** Runs blocks of the manual in a folder, one function a language. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { loadConfig, pipelineOptions } from '#jobs/index.js';
import { solvers } from '#src/solvers/index.js';
import { type Block, root } from './manual.js';

/** The folder that a block runs in, and the variables of its shell. */
export interface World {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Runs a program; throws what it said if it fails. */
function call({ directory, env }: World, program: string, ...args: readonly string[]): string {
  const bin = join(directory, 'bin');
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: directory,
    encoding: 'utf8',
    timeout: 300_000,
    env: { ...process.env, ...env, PATH: `${bin}:${process.env.PATH}` },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stdout}${stderr}`);
  return stdout;
}

const has = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore', timeout: 20_000 }).status === 0;

const anyVariable = new Proxy({}, { get: () => 'text-of-a-variable' });

function validate(world: World, code: string): void {
  const file = join(world.directory, 'manual.yaml');
  writeFileSync(file, code);
  loadConfig(file, anyVariable);
}

const indentOf = (line: string): number => /^\s*/.exec(line)![0].length;

/** The lines of the same map that set the same key as line `k`, by their numbers. */
function sameKey(lines: readonly string[], k: number): number[] {
  const [start = '', key] = /^\s*(?:- )?(\w+):/.exec(lines[k]!) ?? [];
  const inside = (n: number): boolean => lines[n] === '' || indentOf(lines[n]!) >= indentOf(lines[k]!);
  let [from, to] = [k, k];
  while (from > 0 && inside(from - 1)) from--;
  while (to + 1 < lines.length && inside(to + 1)) to++;
  const numbers = Array.from({ length: to - from + 1 }, (_, d) => from + d);
  return key === undefined ? [] : numbers.filter(n => n !== k && lines[n]!.startsWith(start));
}

/** Validates a commented line of a configuration in its place, or a setting of a solver beside that solver. */
function validateComment(world: World, commented: readonly string[], k: number): void {
  const line = commented[k]!.replace(/^(\s*)# ?/, '$1');
  const lines = commented.with(k, line);
  const section = lines.slice(0, k).findLast(l => /^\w/.test(l));
  if (!section?.startsWith('fit:') || indentOf(line) === 0) {
    const others = sameKey(lines, k);
    validate(world, lines.filter((_, n) => !others.includes(n)).join('\n'));
    return;
  }
  const failures = Object.keys(solvers).map(solver => {
    try {
      validate(world, `fit:\n  solver: ${solver}\n${line}`);
      return undefined;
    } catch (error) {
      return error;
    }
  });
  if (!failures.includes(undefined)) throw failures[0];
}

/** A setting that is off: a comment that is itself a key with a value, or an entry of a list. */
const commented = /^\s*# ?(- \{|\w+: \S)/;

function runYaml(world: World, { code }: Block): void {
  const keys = Object.keys(parse(code) as object);
  const foreign = keys.filter(key => !Object.hasOwn(pipelineOptions.shape, key));
  if (foreign.length > 0) throw new Error(`no settings of a pipeline: ${foreign.join(', ')}`);
  validate(world, code);
  const lines = code.split('\n');
  lines.forEach((line, k) => {
    if (commented.test(line)) validateComment(world, lines, k);
  });
}

const sqlRunner = `import { DuckDBInstance } from '@duckdb/node-api';
const connection = await (await DuckDBInstance.create('warehouse.duckdb')).connect();
console.log((await connection.runAndReadAll(process.argv[2])).getRowObjectsJson());`;

function runSqlBlock(world: World, { code }: Block): string {
  writeFileSync(join(world.directory, 'sql.js'), sqlRunner);
  return call(world, process.execPath, 'sql.js', code);
}

function runTypeScript(world: World, block: Block): string {
  const name = `block-${block.line}`;
  writeFileSync(join(world.directory, `${name}.ts`), block.code);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const flags = [
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--strict',
    '--skipLibCheck',
    '--types',
    'node',
  ];
  call(world, process.execPath, compiler, ...flags, `${name}.ts`);
  return block.except ? '' : call(world, process.execPath, `${name}.js`);
}

const pythonModules = `import ast, importlib.util, sys
tree = ast.parse(open(sys.argv[1]).read())
names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
print(all(importlib.util.find_spec(n.split(".")[0]) for n in names))`;

/** Compiles Python, and runs it where its modules are installed. */
function runPython(world: World, block: Block): string {
  const file = join(world.directory, `block-${block.line}.py`);
  writeFileSync(file, block.code);
  const installed = call(world, 'python3', '-c', pythonModules, file).trim() === 'True';
  return installed && !block.except ? call(world, 'python3', file) : '';
}

/** Formats Go, which parses it, and runs it where it imports no module of others. */
function runGo(world: World, block: Block): string {
  if (!has('go', 'version')) return '';
  const file = join(world.directory, 'main.go');
  writeFileSync(file, block.code);
  const changed = call(world, 'gofmt', '-l', file);
  if (changed) throw new Error('expected it as gofmt writes it');
  return /"[\w-]+\.\w+\//.test(block.code) ? '' : call(world, 'go', 'run', file);
}

/** Compiles Java, and runs it where it imports no package of others; unknown packages are all that may be wrong. */
function runJava(world: World, block: Block): string {
  if (!has('javac', '-version')) return '';
  const file = join(world.directory, 'ReadList.java');
  writeFileSync(file, block.code);
  if (!/^import (?!java\.)/m.test(block.code)) return call(world, 'java', file);
  const { stderr } = spawnSync('javac', ['-d', join(world.directory, 'classes'), file], { encoding: 'utf8' });
  const wrong = stderr
    .split('\n')
    .filter(l => / error: /.test(l) && !/does not exist|cannot find symbol/.test(l));
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  return '';
}

function runUnit(world: World, { code }: Block): void {
  const file = join(world.directory, 'sansa-stream.service');
  writeFileSync(file, code);
  if (has('systemd-analyze', '--version'))
    execFileSync('systemd-analyze', ['verify', file], { stdio: 'pipe' });
}

const runners: Readonly<Record<string, (world: World, block: Block) => unknown>> = {
  yaml: runYaml,
  sh: (world, { code }) => call(world, 'bash', '-euo', 'pipefail', '-c', code),
  sql: runSqlBlock,
  ts: runTypeScript,
  python: runPython,
  go: runGo,
  java: runJava,
  ini: runUnit,
  text: () => undefined,
};

/** Runs a block; returns what it printed. */
export function runBlock(world: World, block: Block): unknown {
  const run = runners[block.language];
  if (!run)
    throw new Error(`expected a block of ${Object.keys(runners).join(', ')}, found "${block.language}"`);
  return block.except?.kind === 'not run' ? undefined : run(world, block);
}
