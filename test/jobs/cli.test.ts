/** The command line as people use it: help, wrong usage, set-up, and JSON on standard output whatever happens. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { solvers } from '#src/solvers/index.js';
import { tuneOptions } from '#src/tune/tune.js';
import { runCli } from '../support/cli.js';
import { temporaryDirectory } from '../support/directory.js';
import { runSql } from '../support/duckdb.js';

const commands = [
  'run',
  'ingest',
  'fold',
  'fit',
  'refit',
  'evaluate',
  'tune',
  'publish',
  'rollback',
  'models',
  'recommend',
  'similar',
  'explain',
  'segments',
  'forget',
  'verify',
  'status',
  'runs',
  'dead-letters',
  'sql',
  'map',
  'validate',
  'doctor',
  'init',
  'compact',
  'gramian',
];

describe('help', () => {
  it('lists every command; no command at all is wrong usage', async () => {
    const [help, dashed, none] = await Promise.all([runCli(['help']), runCli(['--help']), runCli([])]);
    expect([help.code, dashed.code, none.code]).toEqual([0, 0, 2]);
    expect(dashed.stdout).toBe(help.stdout);
    const listed = [...help.stdout.matchAll(/^ {2}([\w-]+) +\S/gm)].map(m => m[1]);
    expect(listed.sort()).toEqual([...commands].sort());
  });

  it('prints the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
    expect(await runCli(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each(commands)('%s --help says what it does and takes', async command => {
    const { code, stdout, stderr } = await runCli([command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    const [usage, , summary, ...flags] = stdout.trimEnd().split('\n');
    expect(usage).toMatch(new RegExp(`^usage: sansa-stream ${command} .+`));
    expect(summary!.length).toBeGreaterThan(10);
    for (const line of flags.filter(Boolean)) expect(line).toMatch(/^ {2}--[a-z0-9-]+ +\S/);
  });

  it('shows the defaults of the schemas', async () => {
    const [tune, fit] = await Promise.all([runCli(['tune', '--help']), runCli(['fit', '--help'])]);
    const lineOf = (text: string, flag: string) =>
      text.split('\n').find(line => line.startsWith(`  --${flag} `));
    for (const [name, value] of Object.entries(tuneOptions.parse({})))
      expect(lineOf(tune.stdout, name)).toMatch(new RegExp(`; default ${value}$`));
    const { icf, fsai } = solvers;
    const [a, b] = [icf.options.parse({}), fsai.options.parse({})];
    expect(lineOf(fit.stdout, 'alpha')).toMatch(new RegExp(`\\(fsai\\); default ${b.alpha}$`));
    expect(lineOf(fit.stdout, 'shift-step')).toMatch(new RegExp(`\\(icf\\); default ${a.shiftStep}$`));
    const defaults = Object.entries(solvers).map(
      ([name, s]) => `${s.options.parse({}).userWeighting} (${name})`,
    );
    const weights = `; default ${defaults.join(', ')}`;
    expect(lineOf(fit.stdout, 'user-weighting')!.endsWith(weights)).toBe(true);
    expect(lineOf(fit.stdout, 'l2')).not.toMatch(/; default/);
  });
});

describe('wrong usage', () => {
  it.each<[string, readonly string[], RegExp]>([
    [
      'unknown command',
      ['refold'],
      /^USAGE: expected a command \(run, ingest, .*gramian\), found "refold"$/m,
    ],
    ['a name of every object', ['toString'], /^USAGE: expected a command .*"toString"$/m],
    [
      'unknown option',
      ['fit', '--gama', '1'],
      /^USAGE: fit: unknown option '--gama', expected one of --solver, .*--l2, .*--config, --json, --help; usage: sansa-stream fit -c/m,
    ],
    ['unknown short option', ['fold', '-x'], /unknown option '-x', expected one of --config/],
    [
      'option without its value',
      ['recommend', 'u', '--k'],
      /recommend: option '--k.*' argument (missing|is ambiguous); usage/,
    ],
    ['value for a switch', ['status', '--json=1'], /status: option .*--json.* does not take an argument/],
    [
      'no configuration',
      ['status'],
      /^USAGE: status: expected -c FILE, found nothing; usage: sansa-stream status -c pipeline.yaml \[--watch\] \[--every 2\]$/m,
    ],
    [
      'no user',
      ['recommend', '-c', 'x.yaml'],
      /recommend: expected USER, found nothing; usage: sansa-stream recommend USER/,
    ],
    ['no item', ['similar'], /similar: expected ITEM, found nothing/],
    ['no user to forget', ['forget'], /forget: expected USER, found nothing/],
    ['too many arguments', ['forget', 'a', 'b'], /forget: expected only USER, found "b"/],
    ['an argument that is not taken', ['ingest', 'now'], /ingest: expected no argument, found "now"/],
    [
      'k',
      ['recommend', 'u', '--k', 'ten', '-c', 'x.yaml'],
      /(--k: expected a whole number ≥ 1, found "ten"|x\.yaml)/,
    ],
    [
      'missing file',
      ['status', '-c', 'absent.yaml'],
      /^CONFIG_INVALID: absent\.yaml: expected a readable file \(ENOENT\)$/m,
    ],
    ['no files to evaluate', ['evaluate', '--train', 'x'], /evaluate: expected --train FILE and --test FILE/],
    [
      'a word for a number',
      ['evaluate', '--train', 'x', '--test', 'y', '--l2', 'much'],
      /--l2: expected a number, found "much"/,
    ],
    [
      'a number out of range',
      ['evaluate', '--train', 'x', '--test', 'y', '--density', '7'],
      /density: expected number to be <=1, found 7/,
    ],
    [
      'an unknown solver',
      ['evaluate', '--train', 'x', '--test', 'y', '--solver', 'magic'],
      /solver: expected one of .*"icf".*, found "magic"/,
    ],
  ])('%s', async (_, args, message) => {
    const { code, stderr, json } = await runCli([...args, '--json'], { cwd: temporaryDirectory() });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ {4}at /m);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(/^ {2}→ \S/);
    expect(code).toBe(2);
    expect(json()).toEqual({
      error: { code: expect.any(String), message: expect.any(String), remedy: expect.any(String) },
    });
  });

  it.each<[readonly string[], RegExp]>([
    [['fodl'], /^ {2}→ did you mean fold\? see/m],
    [['fit', '--sovler', 'icf'], /^ {2}→ did you mean --solver\? see/m],
    [['validate', '-c', 'p.yaml'], /^ {2}→ did you mean sinks\?$/m],
    [['zebra'], /^ {2}→ see `sansa-stream --help`$/m],
  ])('says what %j may have meant', async (args, said) => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, 'p.yaml'), 'sink: []\nzebra: 1');
    expect((await runCli(args, { cwd })).stderr).toMatch(said);
  });

  it('prints nothing on standard output without --json', async () => {
    const { code, stdout } = await runCli(['status']);
    expect([code, stdout]).toEqual([2, '']);
  });
});

describe('init and validate', () => {
  it('write a configuration that is valid, once', async () => {
    const cwd = temporaryDirectory();
    const init = await runCli(['init', '--json'], { cwd });
    expect([init.code, init.json()]).toEqual([0, { file: 'pipeline.yaml' }]);
    const text = readFileSync(join(cwd, 'pipeline.yaml'), 'utf8');
    const again = await runCli(['init'], { cwd });
    expect([again.code, readFileSync(join(cwd, 'pipeline.yaml'), 'utf8')]).toEqual([2, text]);
    expect(again.stderr).toMatch(/expected no file of that name, found one; it was not touched/);
    const validate = await runCli(['validate', '-c', 'pipeline.yaml', '--json'], { cwd });
    expect(validate.code).toBe(0);
    expect(validate.json()).toMatchObject({ valid: true, config: { semantics: { interactions: 'binary' } } });
    const nowhere = await runCli(['init', 'absent/directory'], { cwd });
    expect([nowhere.code, nowhere.stderr]).toEqual([
      2,
      expect.stringMatching(/cannot be written \(ENOENT\)/),
    ]);
    // The file it names does not exist yet: with --sources that is an error of the source.
    const sources = await runCli(['validate', '-c', 'pipeline.yaml', '--sources', '--json'], { cwd });
    expect(sources.code).toBe(1);
    expect(sources.json()).toMatchObject({
      error: { code: 'SOURCE_UNREADABLE', message: expect.stringMatching(/events\.parquet/) },
    });
  });

  it('validate --sources tells how the first records decode, and takes nothing in', async () => {
    const cwd = temporaryDirectory();
    await runSql(
      ':memory:',
      `COPY (SELECT unnest(['a', '', 'b']) AS "user", 'x' AS item) TO '${join(cwd, 'e.parquet')}'`,
    );
    writeFileSync(join(cwd, 'p.yaml'), `sources: [{ type: duckdb, name: e, query: "FROM 'e.parquet'" }]`);
    const found = await runCli(['validate', '-c', join(cwd, 'p.yaml'), '--sources', '--json']);
    expect(found.json()).toMatchObject({
      valid: true,
      samples: { e: { records: 3, deadLetters: 1, reason: 'user is missing' } },
    });
    const plain = await runCli(['validate', '-c', join(cwd, 'p.yaml'), '--sources']);
    expect(plain.stdout).toMatch(/source e: 3 records read, 1 would be dead letters \(user is missing\)/);
    const status = await runCli(['status', '-c', join(cwd, 'p.yaml'), '--json']);
    expect(status.json()).toMatchObject({ inbox: 0, deadLetters: 0, positions: { e: [] } });
  });
});
