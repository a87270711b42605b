import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileChecksum, type Manifest, newVersion } from '../contracts/manifest.js';
import type { ModelMetrics } from '../evaluate/gate.js';
import { interactionsIn, popularityBuckets } from '../evaluate/popularity.js';
import type { GramianInput } from '../fit/fit.js';
import type { FitRanges } from '../fit/ranges.js';
import { syncDirectory } from '../matrix/safetensors-header.js';
import { collectGarbage } from '../runtime/collector.js';
import { runOnce } from '../runtime/compute.js';
import { type Progress, tasksOf } from '../runtime/task.js';
import type { FitOptions } from '../solvers/index.js';
import { itemsFile, popularityFile } from './model-files.js';

const fitTask = tasksOf<typeof import('./fit-task.js')>(new URL('./fit-task.js', import.meta.url));

/** Input of a model, and what its manifest says of that. */
export interface ModelInput
  extends Pick<Manifest, 'parent' | 'events' | 'users' | 'interactions' | 'maxHistory' | 'keep' | 'ageing'> {
  readonly gramian: GramianInput;
  /** Item of each row and column of G; read before the fit and not kept. */
  readonly keys: () => Promise<readonly string[]>;
  /** How many users have each item, where that is known. */
  readonly itemUsers?: (() => Promise<Int32Array>) | undefined;
  readonly options: FitOptions;
  readonly threads: number;
  readonly memoryBytes: number;
  /** Of a fit that does not fit the memory as a whole. */
  readonly ranges?: FitRanges | undefined;
}

/** Keys that are written at a time: a text has an end. */
const KEYS_AT_A_TIME = 1 << 16;

/** Writes the keys as JSON to `path`; how many they are, and the checksum of them joined by newlines. */
function writeItems(path: string, keys: readonly string[]): Manifest['items'] {
  const hash = createHash('sha256');
  const fd = openSync(path, 'w');
  try {
    writeFileSync(fd, '[');
    for (let k = 0; k < keys.length; k += KEYS_AT_A_TIME) {
      const some = keys.slice(k, k + KEYS_AT_A_TIME);
      hash.update((k > 0 ? '\n' : '') + some.join('\n'));
      writeFileSync(fd, (k > 0 ? ',' : '') + JSON.stringify(some).slice(1, -1));
    }
    writeFileSync(fd, ']', { flush: true });
  } finally {
    closeSync(fd);
  }
  return { count: keys.length, checksum: hash.digest('hex') };
}

/** Writes the bucket of each item to `path`; returns the interactions in each. */
function writePopularity(path: string, users: Int32Array): readonly number[] {
  const bucketOf = popularityBuckets(users);
  writeFileSync(path, bucketOf, { flush: true });
  return interactionsIn(bucketOf, users);
}

/** Fits a model in a thread of its own and writes `directory/<version>/`, which appears when it is whole. */
export async function makeModel(
  directory: string,
  { gramian, keys, itemUsers, options, threads, memoryBytes, ranges, ...about }: ModelInput,
  settings: {
    readonly progress?: Progress;
    readonly signal?: AbortSignal;
    /** Measures the options of the model, for its manifest. */
    readonly measure?: (() => Promise<ModelMetrics>) | undefined;
  } = {},
): Promise<Manifest> {
  const temporary = join(directory, `.fit-${process.pid}-${Date.now()}`);
  mkdirSync(temporary, { recursive: true });
  try {
    const items = writeItems(join(temporary, itemsFile), await keys());
    const popularity = itemUsers && writePopularity(join(temporary, popularityFile), await itemUsers());
    if (ranges) collectGarbage(); // millions of keys
    const path = join(temporary, 'weights.safetensors');
    const resources = { threads, memoryBytes, ranges };
    const { report, parameters } = await runOnce(
      fitTask('fitToFile'),
      [path, gramian, options, resources],
      settings,
    );
    const metrics = await settings.measure?.();
    const { checksum, bytes } = fileChecksum(path);
    const createdAt = new Date();
    const manifest: Manifest = {
      format: 'sansa-stream/model@1',
      version: newVersion(createdAt, checksum),
      createdAt: createdAt.toISOString(),
      parent: about.parent,
      solver: options.solver,
      options,
      items,
      events: about.events,
      users: about.users,
      interactions: about.interactions,
      popularity,
      maxHistory: about.maxHistory,
      keep: about.keep,
      ageing: about.ageing,
      parameters,
      weightsChecksum: checksum,
      weightsBytes: bytes,
      gramian: gramian.mode,
      fit: report,
      metrics,
    };
    writeFileSync(join(temporary, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, {
      flush: true,
    });
    syncDirectory(temporary);
    renameSync(temporary, join(directory, manifest.version));
    syncDirectory(directory);
    return manifest;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}
