import { resolve } from 'node:path';
import { weightRules } from '../connectors/duckdb/schema.js';
import { openState } from '../connectors/duckdb/state.js';
import { createAttributes, createSignals, createSink, createSource } from '../connectors/registry.js';
import { type Logger, type SignalSource, silent } from '../src/contracts/index.js';
import { assertWorkable, databaseShare } from '../src/fit/memory.js';
import { observed } from '../src/runtime/serial.js';
import { parseSize } from '../src/size.js';
import { joinPipeline, type Stage } from '../src/stages/pipeline.js';
import { checked } from './checked.js';
import { type LoadedConfig, type PipelineConfig, type PipelineOptions, pipelineOptions } from './config.js';
import { rememberSecrets } from './secrets.js';

/** A pipeline with its state and connectors open. Close it to let another process have the state. */
export interface Pipeline extends Stage {
  readonly config: PipelineConfig;
  readonly signals: SignalSource | undefined;
  close(): Promise<void>;
}

/** Opens the state and the connectors of a loaded configuration; for reading, no state is made or changed. */
export async function openPipeline(
  { config, baseDirectory }: LoadedConfig,
  log: Logger = silent,
  access: 'read' | 'write' = 'write',
): Promise<Pipeline> {
  const directory = resolve(baseDirectory, config.state);
  const memoryBytes = parseSize(config.memory, 'memory');
  assertWorkable(memoryBytes);
  const { memoryLimit } = config.database;
  const databaseBytes = memoryLimit
    ? parseSize(memoryLimit, 'database.memoryLimit')
    : databaseShare(memoryBytes);
  const limits = { ...config.database, memoryLimit: `${Math.floor(databaseBytes / 1024)}KiB` };
  // The packages of the connectors load while the state is opened.
  const connectors = observed(
    Promise.all([
      Promise.all(config.sources.map(o => createSource(o, baseDirectory))),
      Promise.all(config.sinks.map(o => createSink(o, baseDirectory))),
      config.signals && createSignals(config.signals, baseDirectory),
    ]),
  );
  const store = await openState(directory, config.semantics, limits, access);
  try {
    const [sources, sinks, signals] = await connectors;
    const { attributes } = config.publish.rules;
    const weights = weightRules(config.semantics);
    const fitMemoryBytes = memoryBytes - databaseBytes;
    const stage = joinPipeline({
      directory,
      store,
      scale: weights.scale,
      weights,
      fitMemoryBytes,
      sources,
      sinks,
      itemAttributes: attributes && (() => createAttributes(attributes, baseDirectory)),
      options: config,
      log,
    });
    if (access === 'write') {
      await stage.resumeErasures();
      await stage.removeOrphans();
    }
    return {
      ...stage,
      config,
      signals,
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
  return openPipeline({ config, baseDirectory: settings.baseDirectory ?? process.cwd() }, settings.log);
}
