import type * as Pino from 'pino';
import type { Logger } from '../src/contracts/logger.js';
import type { StageError } from '../src/errors.js';
import { required } from '../src/runtime/require.js';
import { type CommandContext, type Values, wholeNumber } from './command.js';
import type { LoadedConfig } from './config.js';
import { stateDirectoryOf } from './config-file.js';
import { connectRunning } from './control/client.js';
import { socketOf } from './control/socket-path.js';
import { logContext } from './log-context.js';
import type { Access, Pipeline } from './open.js';
import type { OperationName, ParametersOf, ResultOf } from './operations/index.js';
import { redacted } from './secrets.js';
import { whenFree } from './standby.js';

/** What a session gets of the command line. */
interface Terms {
  readonly wrong: (what: string) => StageError;
  readonly signal: AbortSignal;
  readonly progress: (text: string) => void;
}

/** The configuration, with `memory` and `threads` replaced by the flags of these names. */
function overridden({ config, ...loaded }: LoadedConfig, { memory, threads }: Values): LoadedConfig {
  const given = {
    ...(typeof memory === 'string' ? { memory } : {}),
    ...(typeof threads === 'string' ? { threads: wholeNumber('threads', threads) } : {}),
  };
  return { ...loaded, config: { ...config, ...given } };
}

/** Loads what a configuration names beside the built-in connectors. */
async function settled(loaded: LoadedConfig): Promise<LoadedConfig> {
  const { sources, sinks, signals } = loaded.config;
  if (![...sources, ...sinks, signals].some(o => o?.type === 'module')) return loaded;
  return (await import('./modules.js')).withModules(loaded);
}

function openLog(level: string): Logger {
  const { pino } = required('pino') as typeof Pino;
  const destination = pino.destination({ dest: 2, sync: true });
  return pino(
    {
      level,
      base: null,
      formatters: { level: label => ({ level: label }) },
      mixin: logContext,
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    { write: line => destination.write(redacted(line)) },
  );
}

/**
 * The configuration, log and pipeline of a command line, each loaded and made when it is first used: a command to a running
 * stage needs none of them. `close` closes the pipeline.
 */
export function openSession(values: Values, { wrong, signal, progress }: Terms) {
  let loaded: LoadedConfig | undefined;
  let opened: Pipeline | undefined;
  let logger: Logger | undefined;
  const file = (): string => {
    if (typeof values.config === 'string') return values.config;
    throw wrong('expected -c FILE, found nothing');
  };
  const config = async (): Promise<LoadedConfig> => {
    const path = file();
    const { loadConfig } = await import('./config.js');
    return (loaded ??= await settled(overridden(loadConfig(path), values)));
  };
  const log = async (): Promise<Logger> =>
    (logger ??= openLog(typeof values.config === 'string' ? (await config()).config.log.level : 'info'));
  const open = async (access: Access) => {
    const { openPipeline } = await import('./open.js');
    return openPipeline(await config(), await log(), access);
  };
  const context: Omit<CommandContext, 'positionals'> = {
    values,
    log,
    config,
    signal,
    progress,
    async ask<N extends OperationName>(name: N, parameters: ParametersOf<N>) {
      const directory = stateDirectoryOf(file());
      const socket = directory && socketOf(directory);
      const running = socket && (await connectRunning(socket));
      if (running)
        return (await running.ask({ operation: name, parameters }, progress, signal)) as ResultOf<N>;
      const { operationOf } = await import('./operations/index.js');
      const [{ perform }, { contextOf }] = await Promise.all([
        import('./operations/perform.js'),
        import('./job.js'),
      ]);
      const pipeline = (opened ??= await open(operationOf(name)!.changes ? {} : { mode: 'read' }));
      const host = {
        pipeline,
        jobs: contextOf(pipeline, { signal }),
        inTurn: <T>(_: string, body: () => Promise<T>) => body(),
      };
      return (await perform(host, name, parameters, { progress })) as ResultOf<N>;
    },
    async pipeline({ standBy = false } = {}) {
      const attempt = () => open({ reading: standBy ? 'service' : 'alone' });
      return (opened ??= await (standBy ? whenFree(await log(), signal, attempt) : attempt()));
    },
    reader: async () => (opened ??= await open({ mode: 'read' })),
  };
  return { context, close: async () => opened?.close() };
}
