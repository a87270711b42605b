import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import type { ConditionOptions } from '../connectors/duckdb/condition-options.js';
import { weightRules } from '../connectors/duckdb/options.js';
import { limitsOf, type Room } from '../connectors/duckdb/room.js';
import { openState } from '../connectors/duckdb/state.js';
import { spillsDirectory } from '../connectors/duckdb/state-file.js';
import {
  askCondition,
  createAttributes,
  createSignals,
  createSink,
  createSource,
  kindOf,
  sinks as sinkKinds,
  sources as sourceKinds,
} from '../connectors/registry.js';
import { type Logger, type SignalSource, type Sink, type Source, silent } from '../src/contracts/index.js';
import { assertWorkable } from '../src/fit/memory.js';
import { observed } from '../src/runtime/serial.js';
import { parseSize } from '../src/size.js';
import { joinPipeline, type Stage } from '../src/stages/pipeline.js';
import { assertSteps, divideBudget, leastBudget, type Occupants } from './budget.js';
import { checked } from './checked.js';
import { type LoadedConfig, type PipelineConfig, type PipelineOptions, pipelineOptions } from './config.js';
import { withModules } from './modules.js';
import { rememberSecrets } from './secrets.js';

/** A pipeline with its state and connectors open. Close it to let another process have the state. */
export interface Pipeline extends Stage {
  readonly config: PipelineConfig;
  readonly signals: SignalSource | undefined;
  /** Asks a warehouse whether a job is due. */
  ask(condition: ConditionOptions, signal?: AbortSignal): Promise<boolean>;
  /** Memory of a database that is opened for a step, beside the state's. */
  readonly stepBytes: number;
  /** Whether sources that do not wait are read in turns with jobs, for want of memory. */
  readonly inTurns: boolean;
  close(): Promise<void>;
}

/** How a pipeline is opened. */
export interface Access {
  /** For reading, no state is made or changed. */
  readonly mode?: 'read' | 'write';
  /** When the sources are read; see `Occupants`. */
  readonly reading?: Occupants['reading'];
}

/** Opens the state and the connectors of a loaded configuration. */
export async function openPipeline(
  loaded: LoadedConfig,
  log: Logger = silent,
  { mode = 'write', reading = 'alone' }: Access = {},
): Promise<Pipeline> {
  const { config, baseDirectory } = await withModules(loaded);
  const directory = resolve(baseDirectory, config.state);
  const memoryBytes = parseSize(config.memory, 'memory');
  assertWorkable(memoryBytes);
  const { memoryLimit } = config.database;
  const streams = config.sources.filter(o => kindOf<Source>(sourceKinds, o).waits).length;
  const occupants: Occupants = {
    stateBytes: memoryLimit ? parseSize(memoryLimit, 'database.memoryLimit') : undefined,
    streams,
    tables: config.sources.length - streams,
    sinks: config.sinks.filter(o => kindOf<Sink>(sinkKinds, o).takesRoom?.(o)).length,
    reading,
  };
  const budget = divideBudget(memoryBytes, occupants);
  if (mode === 'write') assertSteps(budget.step, occupants);
  const { threads, ...limit } = limitsOf({ memoryBytes: budget.state });
  const limits = { ...config.database, ...limit, threads: Math.min(threads, config.database.threads) };
  const spills = spillsDirectory(directory);
  const room = (part: 'stream' | 'table' | 'step'): Room => ({
    memoryBytes: budget[part],
    // Who only reads leaves nothing in the state.
    ...(mode === 'write' && { spills }),
    budgetFor: bytes => leastBudget(bytes, part, occupants),
  });
  const stepRoom = room('step');
  const roomOf = (o: (typeof config.sources)[number]) =>
    room(kindOf<Source>(sourceKinds, o).waits ? 'stream' : 'table');
  // The packages of the connectors load while the state is opened.
  const connectors = observed(
    Promise.all([
      Promise.all(config.sources.map(o => createSource(o, baseDirectory, roomOf(o)))),
      Promise.all(config.sinks.map(o => createSink(o, baseDirectory, stepRoom))),
      config.signals && createSignals(config.signals, baseDirectory, stepRoom),
    ]),
  );
  const store = await openState(directory, config.semantics, limits, mode);
  try {
    // What a process that died has left; sources and sinks are not open yet.
    if (mode === 'write') rmSync(spills, { recursive: true, force: true });
    const [sources, sinks, signals] = await connectors;
    const { attributes } = config.publish.rules;
    const weights = weightRules(config.semantics);
    const stage = joinPipeline({
      directory,
      store,
      scale: weights.scale,
      weights,
      fitMemoryBytes: budget.work,
      budgetFor: bytes => leastBudget(bytes, 'work', occupants),
      sources,
      sinks,
      itemAttributes: attributes && (() => createAttributes(attributes, baseDirectory, stepRoom)),
      options: config,
      log,
    });
    if (mode === 'write') {
      await stage.resumeErasures();
      await stage.removeOrphans();
    }
    return {
      ...stage,
      config,
      signals,
      ask: (condition, signal) => askCondition(condition, baseDirectory, stepRoom, signal),
      stepBytes: budget.step,
      inTurns: budget.inTurns,
      async close() {
        await signals?.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Opens a pipeline from options instead of a file: the same settings, validated the same way. Relative paths
 * start from `baseDirectory`, by default the working directory.
 *
 * @throws StageError `CONFIG_INVALID` for wrong options, `STATE_LOCKED` while another process has the state.
 */
export async function createPipeline(
  options: PipelineOptions,
  settings: { readonly log?: Logger; readonly baseDirectory?: string } = {},
): Promise<Pipeline> {
  rememberSecrets(options);
  const config = checked(pipelineOptions, options, 'options');
  const loaded = {
    config,
    baseDirectory: settings.baseDirectory ?? process.cwd(),
    origin: { where: 'options', replaced: new Set<string>() },
  };
  return openPipeline(loaded, settings.log, { reading: 'beside' });
}
