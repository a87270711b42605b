import { parseArgs } from 'node:util';
import { StageError, toStageError } from '../src/errors.js';
import type { Command } from './command.js';
import { nearest } from './nearest.js';
import { inLine, printable } from './printable.js';
import { createProgress } from './progress.js';
import { redacted } from './secrets.js';
import { openSession } from './session.js';

/** Each command, imported when it is called: the imports of all would take most of the start. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./commands/run.js')).run,
  ingest: async () => (await import('./commands/ingest.js')).ingest,
  fold: async () => (await import('./commands/jobs.js')).fold,
  fit: async () => (await import('./commands/fit.js')).fit,
  refit: async () => (await import('./commands/jobs.js')).refit,
  evaluate: async () => (await import('./commands/evaluate.js')).evaluate,
  tune: async () => (await import('./commands/tune.js')).tune,
  publish: async () => (await import('./commands/jobs.js')).publish,
  rollback: async () => (await import('./commands/jobs.js')).rollback,
  models: async () => (await import('./commands/models.js')).models,
  recommend: async () => (await import('./commands/reads.js')).recommend,
  similar: async () => (await import('./commands/reads.js')).similar,
  explain: async () => (await import('./commands/reads.js')).explain,
  segments: async () => (await import('./commands/reads.js')).segments,
  forget: async () => (await import('./commands/forget.js')).forget,
  verify: async () => (await import('./commands/jobs.js')).verify,
  status: async () => (await import('./commands/status.js')).status,
  runs: async () => (await import('./commands/history.js')).runs,
  'dead-letters': async () => (await import('./commands/history.js')).deadLetters,
  sql: async () => (await import('./commands/sql.js')).sql,
  map: async () => (await import('./commands/map.js')).map,
  validate: async () => (await import('./commands/setup.js')).validate,
  doctor: async () => (await import('./commands/doctor.js')).doctor,
  init: async () => (await import('./commands/init.js')).init,
  compact: async () => (await import('./commands/jobs.js')).compact,
  gramian: async () => (await import('./commands/gramian.js')).gramian,
};

const commandOf = async (name: string): Promise<Command | undefined> =>
  Object.hasOwn(commands, name) ? commands[name]!() : undefined;

const common = {
  config: { type: 'string', short: 'c' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

async function help(name?: string): Promise<string> {
  const command = name === undefined ? undefined : await commandOf(name);
  if (!command) {
    const list = await Promise.all(
      Object.entries(commands).map(async ([n, load]) => `  ${n.padEnd(12)} ${(await load()).summary}`),
    );
    return [
      'usage: sansa-stream COMMAND [-c pipeline.yaml] [--json]',
      '       sansa-stream --version',
      '',
      ...list,
      '',
      'sansa-stream COMMAND --help says more.',
    ].join('\n');
  }
  const flags = Object.keys(command.options ?? {}).map(
    flag => `  --${flag.padEnd(18)} ${command.help?.[flag] ?? ''}`,
  );
  return [
    `usage: sansa-stream ${name} ${command.usage} [--json]`,
    '',
    command.summary,
    ...(flags.length > 0 ? ['', ...flags] : []),
  ].join('\n');
}

/** Runs one command line; returns the exit code: 0 done, 1 failed, 2 bad usage or configuration. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(`${await help(rest[0])}\n`);
    return name === undefined ? 2 : 0;
  }
  const asJson = rest.includes('--json');
  const progress = createProgress(process.stderr);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  // The reader of a pipe may go before the end, as in `… | head`: no failure.
  process.stdout.on('error', () => process.exit());
  let close = async (): Promise<void> => undefined;
  try {
    const command = await commandOf(name);
    if (!command)
      throw new StageError(
        'USAGE',
        `expected a command (${Object.keys(commands).join(', ')}), found ${JSON.stringify(name)}`,
        meant(name, Object.keys(commands)),
      );
    const wrong = misused(command, name);
    const { values, positionals } = parse(command, wrong, rest);
    if (values.help) {
      process.stdout.write(`${await help(name)}\n`);
      return 0;
    }
    const session = openSession(values, { wrong, signal: stop.signal, progress: progress.show });
    close = session.close;
    const outcome = await command.run({ ...session.context, positionals });
    progress.clear();
    if (asJson) process.stdout.write(`${JSON.stringify(outcome.json)}\n`);
    else if (outcome.text) process.stdout.write(`${printable(outcome.text)}\n`);
    return outcome.exitCode ?? 0;
  } catch (error) {
    progress.clear();
    return report(stop.signal.aborted ? new StageError('INTERRUPTED', `${name} was stopped`) : error, {
      asJson,
      asLine: name === 'run' && !process.stderr.isTTY,
    });
  } finally {
    await close().catch(() => undefined);
  }
}

/** How a failure is printed: also as JSON on standard output, and on standard error as a line of the log instead of as text. */
interface Form {
  readonly asJson: boolean;
  readonly asLine: boolean;
}

/** Prints a failure; returns the exit code. */
function report(error: unknown, { asJson, asLine }: Form): number {
  const failure = toStageError(error);
  const { code, remedy, exitCode } = failure;
  const message = redacted(failure.message);
  if (asJson) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
  if (asLine) {
    const line = { level: 'fatal', time: new Date().toISOString(), code, remedy, msg: message };
    process.stderr.write(`${JSON.stringify(line)}\n`);
    return exitCode;
  }
  for (const line of message.split('\n')) process.stderr.write(`${code}: ${inLine(line)}\n`);
  process.stderr.write(`  → ${inLine(remedy)}\n`);
  if (code === 'INTERNAL' && process.env.SANSA_STREAM_DEBUG)
    process.stderr.write(`${redacted(String((error as Error).stack))}\n`);
  return exitCode;
}

/** Makes the error of a command line that is not as the command's usage says. */
const misused =
  ({ usage }: Command, name: string) =>
  (what: string, options?: { remedy: string }): StageError =>
    new StageError('USAGE', `${name}: ${what}; usage: sansa-stream ${name} ${usage}`, options);

/** Remedy of a word at the command line that is one typing mistake from a known one. */
function meant(word: string, known: readonly string[]): { remedy: string } | undefined {
  const near = nearest(word, known);
  return near === undefined ? undefined : { remedy: `did you mean ${near}? see \`sansa-stream --help\`` };
}

function parse(command: Command, wrong: ReturnType<typeof misused>, args: readonly string[]) {
  const options = { ...command.options, ...common };
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true; strict: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const [line = ''] = (error as Error).message.split(/\.\s/);
    const accepted = Object.keys(options).map(flag => `--${flag}`);
    const [, unknown] = /^Unknown option '([^']*)'/.exec(line) ?? [];
    if (unknown === undefined) throw wrong(line.replace(/^Option/, 'option'));
    throw wrong(
      `unknown option '${unknown}', expected one of ${accepted.join(', ')}`,
      meant(unknown, accepted),
    );
  }
  if (parsed.values.help) return parsed;
  const expected = command.arguments ?? [];
  const missing = expected[parsed.positionals.length];
  if (missing !== undefined && !missing.startsWith('[')) throw wrong(`expected ${missing}, found nothing`);
  const extra = parsed.positionals[expected.length];
  if (extra !== undefined)
    throw wrong(
      `expected ${expected.length === 0 ? 'no argument' : `only ${expected.join(' ')}`}, found ${JSON.stringify(extra)}`,
    );
  return parsed;
}
