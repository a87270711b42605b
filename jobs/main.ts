import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { StageError, toStageError } from '../src/errors.js';
import { type Command, type Outcome, type Values, wholeNumber } from './command.js';
import { doctor } from './commands/doctor.js';
import { evaluate } from './commands/evaluate.js';
import { fit } from './commands/fit.js';
import { models } from './commands/models.js';
import { publish, rollback } from './commands/publish.js';
import { recommend, similar, status } from './commands/reads.js';
import { run } from './commands/run.js';
import { init, validate } from './commands/setup.js';
import { compact, fold, forget, ingest, verify } from './commands/steps.js';
import { tune } from './commands/tune.js';
import { type LoadedConfig, loadConfig } from './config.js';
import { openPipeline, type Pipeline } from './open.js';
import { createProgress } from './progress.js';
import { whenFree } from './standby.js';

const commands: Readonly<Record<string, Command>> = {
  run,
  ingest,
  fold,
  fit,
  evaluate,
  tune,
  publish,
  rollback,
  models,
  recommend,
  similar,
  forget,
  verify,
  status,
  validate,
  doctor,
  init,
  compact,
};

const common = {
  config: { type: 'string', short: 'c' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

function help(name?: string): string {
  const command = name === undefined ? undefined : commands[name];
  if (!command) {
    const list = Object.entries(commands).map(([n, c]) => `  ${n.padEnd(10)} ${c.summary}`);
    return [
      'usage: sansa-stream COMMAND [-c pipeline.yaml] [--json]',
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

/** The configuration with what `--memory` and `--threads` say in its place. */
function overridden({ config, baseDirectory }: LoadedConfig, { memory, threads }: Values): LoadedConfig {
  const given = {
    ...(typeof memory === 'string' ? { memory } : {}),
    ...(typeof threads === 'string' ? { threads: wholeNumber('threads', threads) } : {}),
  };
  return { config: { ...config, ...given }, baseDirectory };
}

/** Runs one command line; returns the exit code: 0 done, 1 failed, 2 bad usage or configuration. */
export async function main(argv: readonly string[]): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(`${help(rest[0])}\n`);
    return name === undefined ? 2 : 0;
  }
  const asJson = rest.includes('--json');
  const progress = createProgress(process.stderr);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  // A reader that has gone, as of `… | head`, is no failure.
  process.stdout.on('error', () => process.exit());
  let pipeline: Pipeline | undefined;
  try {
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (!command)
      throw new StageError(
        'USAGE',
        `expected a command (${Object.keys(commands).join(', ')}), found ${JSON.stringify(name)}`,
      );
    const { values, positionals } = parse(command, name, rest);
    if (values.help) {
      process.stdout.write(`${help(name)}\n`);
      return 0;
    }
    let loaded: LoadedConfig | undefined;
    const config = (): LoadedConfig => {
      if (typeof values.config !== 'string')
        throw new StageError(
          'USAGE',
          `${name}: expected -c FILE, found nothing; usage: sansa-stream ${name} ${command.usage}`,
        );
      loaded ??= overridden(loadConfig(values.config), values);
      return loaded;
    };
    const level = typeof values.config === 'string' ? config().config.log.level : 'info';
    const log = pino(
      { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 2, sync: true }),
    );
    const outcome: Outcome = await command.run({
      values,
      positionals,
      log,
      progress: progress.show,
      config,
      pipeline: async patient => {
        const open = () => openPipeline(config(), log);
        return (pipeline ??= await (patient ? whenFree(log, stop.signal, open) : open()));
      },
      signal: stop.signal,
    });
    progress.clear();
    if (asJson) process.stdout.write(`${JSON.stringify(outcome.json)}\n`);
    else if (outcome.text) process.stdout.write(`${outcome.text}\n`);
    return outcome.exitCode ?? 0;
  } catch (error) {
    progress.clear();
    const failure = stop.signal.aborted
      ? new StageError('INTERRUPTED', `${name} was stopped`)
      : toStageError(error);
    const { code, message, remedy } = failure;
    if (asJson) process.stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
    for (const line of message.split('\n')) process.stderr.write(`${code}: ${line}\n`);
    process.stderr.write(`  → ${remedy}\n`);
    if (code === 'INTERNAL' && process.env.SANSA_STREAM_DEBUG)
      process.stderr.write(`${String((error as Error).stack)}\n`);
    return failure.exitCode;
  } finally {
    await pipeline?.close().catch(() => undefined);
  }
}

function parse(command: Command, name: string, args: readonly string[]) {
  const options = { ...command.options, ...common };
  const wrong = (what: string) =>
    new StageError('USAGE', `${name}: ${what}; usage: sansa-stream ${name} ${command.usage}`);
  let parsed: ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true; strict: true }>>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const [line = ''] = (error as Error).message.split(/\.\s/);
    const accepted = Object.keys(options).map(flag => `--${flag}`);
    throw wrong(
      /^Unknown option/.test(line)
        ? `${line.toLowerCase()}, expected one of ${accepted.join(', ')}`
        : line.replace(/^Option/, 'option'),
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
