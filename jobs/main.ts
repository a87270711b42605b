import { parseArgs } from 'node:util';
import type * as Pino from 'pino';
import { StageError, toStageError } from '../src/errors.js';
import { required } from '../src/runtime/require.js';
import { type Command, type CommandContext, type Values, wholeNumber } from './command.js';
import { type LoadedConfig, loadConfig } from './config.js';
import { nearest } from './nearest.js';
import type { Access, Pipeline } from './open.js';
import { createProgress } from './progress.js';
import { redacted } from './secrets.js';
import { whenFree } from './standby.js';

const { pino } = required('pino') as typeof Pino;

/** Each command, imported when it is called: the imports of all would take most of the start. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./commands/run.js')).run,
  ingest: async () => (await import('./commands/steps.js')).ingest,
  fold: async () => (await import('./commands/steps.js')).fold,
  fit: async () => (await import('./commands/fit.js')).fit,
  evaluate: async () => (await import('./commands/evaluate.js')).evaluate,
  tune: async () => (await import('./commands/tune.js')).tune,
  publish: async () => (await import('./commands/publish.js')).publish,
  rollback: async () => (await import('./commands/publish.js')).rollback,
  models: async () => (await import('./commands/models.js')).models,
  recommend: async () => (await import('./commands/reads.js')).recommend,
  similar: async () => (await import('./commands/reads.js')).similar,
  segments: async () => (await import('./commands/segments.js')).segments,
  forget: async () => (await import('./commands/steps.js')).forget,
  verify: async () => (await import('./commands/steps.js')).verify,
  status: async () => (await import('./commands/reads.js')).status,
  validate: async () => (await import('./commands/setup.js')).validate,
  doctor: async () => (await import('./commands/doctor.js')).doctor,
  init: async () => (await import('./commands/init.js')).init,
  compact: async () => (await import('./commands/steps.js')).compact,
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
      Object.entries(commands).map(async ([n, load]) => `  ${n.padEnd(10)} ${(await load()).summary}`),
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

/** The configuration, with `memory` and `threads` replaced by the flags of these names. */
function overridden({ config, baseDirectory }: LoadedConfig, { memory, threads }: Values): LoadedConfig {
  const given = {
    ...(typeof memory === 'string' ? { memory } : {}),
    ...(typeof threads === 'string' ? { threads: wholeNumber('threads', threads) } : {}),
  };
  return { config: { ...config, ...given }, baseDirectory };
}

/** The configuration, log and pipeline of a command line, each made when it is first used; `close` closes the pipeline. */
function openSession(values: Values, wrong: (what: string) => StageError, signal: AbortSignal) {
  let loaded: LoadedConfig | undefined;
  let opened: Pipeline | undefined;
  const config = (): LoadedConfig => {
    if (typeof values.config !== 'string') throw wrong('expected -c FILE, found nothing');
    return (loaded ??= overridden(loadConfig(values.config), values));
  };
  const level = typeof values.config === 'string' ? config().config.log.level : 'info';
  const destination = pino.destination({ dest: 2, sync: true });
  const log = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    { write: line => destination.write(redacted(line)) },
  );
  // Loading DuckDB takes as long as all the rest of a command's start: those that open no state do without.
  const openWith = async (access: Access) => {
    const checked = config();
    return (await import('./open.js')).openPipeline(checked, log, access);
  };
  const session: Pick<CommandContext, 'values' | 'log' | 'config' | 'pipeline' | 'reader' | 'signal'> = {
    values,
    log,
    config,
    signal,
    async pipeline(settings) {
      const open = () => openWith({ reading: settings?.standBy ? 'service' : 'alone' });
      return (opened ??= await (settings?.standBy ? whenFree(log, signal, open) : open()));
    },
    reader: async () => (opened ??= await openWith({ mode: 'read' })),
  };
  return { session, close: async () => opened?.close() };
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
    const opened = openSession(values, wrong, stop.signal);
    close = opened.close;
    const outcome = await command.run({ ...opened.session, positionals, progress: progress.show });
    progress.clear();
    if (asJson) process.stdout.write(`${JSON.stringify(outcome.json)}\n`);
    else if (outcome.text) process.stdout.write(`${outcome.text}\n`);
    return outcome.exitCode ?? 0;
  } catch (error) {
    progress.clear();
    return report(stop.signal.aborted ? new StageError('INTERRUPTED', `${name} was stopped`) : error, asJson);
  } finally {
    await close().catch(() => undefined);
  }
}

/** Prints a failure, also as JSON if asked for; returns the exit code. */
function report(error: unknown, asJson: boolean): number {
  const failure = toStageError(error);
  const { code, remedy, exitCode } = failure;
  const message = redacted(failure.message);
  if (asJson) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
  for (const line of message.split('\n')) process.stderr.write(`${code}: ${line}\n`);
  process.stderr.write(`  → ${remedy}\n`);
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
