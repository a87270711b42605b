import type { Manifest } from '../contracts/manifest.js';
import { StageError } from '../errors.js';
import type { ModelMetrics } from '../evaluate/gate.js';
import type { HeldOut } from '../evaluate/held-out.js';
import type { GramianInput } from '../fit/fit.js';
import { planWrittenFit } from '../fit/ranges.js';
import type { GramianMode } from '../gramian/plan.js';
import { failpoint } from '../runtime/failpoint.js';
import type { FitOptions } from '../solvers/index.js';
import { ageingNow } from './ageing.js';
import { pruningOf } from './gramian.js';
import { makeModel } from './make-model.js';
import {
  damagedFiles,
  intactManifestOf,
  manifestOf,
  modelRegister,
  modelsDirectory,
  pruneModels,
  weightsPath,
} from './model-files.js';
import { ModelReader } from './model-reader.js';
import type { PipelineParts, Progress } from './parts.js';

/** Where fits get their input from. */
interface FitInputs {
  readonly modeFor: (fit: FitOptions) => Promise<GramianMode>;
  readonly input: (n: number, fit: FitOptions) => Promise<GramianInput>;
}

/** How a fit differs from the options of the pipeline, and who hears of it. */
export interface FitSettings {
  readonly fit?: FitOptions;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
  /** Measures a fit with the same options, for the manifest. */
  readonly measure?: (() => Promise<ModelMetrics>) | undefined;
}

/** Makes and reads the models of a state. */
export function createModelLibrary(parts: PipelineParts, gramian: FitInputs) {
  const reader = new ModelReader(parts);
  return {
    fit: (run: number, settings: FitSettings = {}) => fitModel(parts, gramian, run, settings),

    register: (retired: ReadonlySet<string>) => modelRegister(parts, retired),
    manifestOf: (version?: string) => manifestOf(parts, version),
    intact: (version?: string) => intactManifestOf(parts, version),
    damaged: (signal?: AbortSignal) => damagedFiles(parts, signal),
    weightsPath: (version: string) => weightsPath(parts.directory, version),
    pruneModels: (keep: number, named?: readonly string[]) => pruneModels(parts, keep, named),

    recommend: (user: string, k: number, version?: string) => reader.recommend(user, k, version),
    similar: (item: string, k: number, version?: string) => reader.similar(item, k, version),
    explain: (user: string, item: string, version?: string) => reader.explain(user, item, version),
    segments: (k: number, version?: string) => reader.segments(k, version),
    evaluate: (heldOut: Iterable<HeldOut>, k: number, version?: string) =>
      reader.evaluate(heldOut, k, version),
    compare: (a: string, b: string, k: number, sample: number) => reader.compare(a, b, k, sample),
    renumbered: <T>(body: () => Promise<T>) => reader.renumbered(body),
  };
}

/** Fits a model on the folded state and registers it; `run` is the ledger's run that it ends. */
async function fitModel(
  parts: PipelineParts,
  gramian: FitInputs,
  run: number,
  settings: FitSettings,
): Promise<Manifest> {
  const { directory, store, options, fitMemoryBytes: memoryBytes, log } = parts;
  const fitOptions = settings.fit ?? options.fit;
  const { maxHistory, keep } = options.gramian;
  const counts = await store.counts(maxHistory);
  if (counts.items === 0 || counts.interactions === 0) {
    throw new StageError(
      'STATE_EMPTY',
      `expected interactions to fit on, found ${counts.interactions} (${counts.inbox} events wait in the inbox)`,
    );
  }
  const mode = await gramian.modeFor(fitOptions);
  const files = (await store.segments()).map(s => s.bytes);
  const pruned = pruningOf(parts, counts.items, fitOptions);
  const size = { ...counts, mode, files, keep: pruned?.keep, options: fitOptions } as const;
  const { threads, ranges } = planWrittenFit(size, memoryBytes, options.threads, parts.budgetFor);
  if (ranges) log.info({ items: counts.items, serving: ranges.serving }, 'fit in ranges of rows');
  const input = await gramian.input(counts.items, fitOptions);
  const parent = (await store.models()).at(-1)?.version;
  const about = {
    parent,
    events: await store.folded(),
    users: counts.users,
    interactions: counts.interactions,
    maxHistory,
    keep,
    ageing: await ageingNow(parts),
  };
  const keys = () => store.itemKeys(counts.items);
  const itemUsers = () => store.itemUsers().then(users => users.subarray(0, counts.items));
  const made = {
    gramian: input,
    keys,
    itemUsers,
    options: fitOptions,
    threads,
    memoryBytes,
    ranges,
    ...about,
  };
  const manifest = await makeModel(modelsDirectory(directory), made, settings);
  failpoint('refit:model-written');
  const detail = `${manifest.parameters} parameters from ${counts.interactions} interactions`;
  await store.endRun(run, { status: 'done', detail, version: manifest.version }, manifest);
  return manifest;
}
