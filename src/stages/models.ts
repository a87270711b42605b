import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RankedList } from '../contracts/index.js';
import { fileChecksum, type Manifest, readManifest } from '../contracts/manifest.js';
import { StageError } from '../errors.js';
import { createComparison, type ListDifference } from '../evaluate/compare-lists.js';
import { evaluate as evaluateModel } from '../evaluate/evaluate.js';
import type { ModelMetrics } from '../evaluate/gate.js';
import { type HeldOut, matchHeldOut } from '../evaluate/held-out.js';
import type { Metrics } from '../evaluate/metrics.js';
import type { GramianInput } from '../fit/fit.js';
import { planFit } from '../fit/memory.js';
import type { GramianMode } from '../gramian/plan.js';
import type { Model } from '../model/model.js';
import { createScorer, type Scorer } from '../model/score.js';
import { loadModel } from '../model/weights-file.js';
import { failpoint } from '../runtime/failpoint.js';
import type { FitOptions } from '../solvers/index.js';
import { makeModel } from './make-model.js';
import type { Register } from './orphans.js';
import type { PipelineParts, Progress } from './parts.js';

/** Makes and reads the models of a state. */
export function createModelLibrary(
  { directory: state, store, options, fitMemoryBytes: memoryBytes }: PipelineParts,
  gramian: {
    readonly modeFor: (fit: FitOptions) => Promise<GramianMode>;
    readonly input: (n: number, fit: FitOptions) => Promise<GramianInput>;
  },
) {
  const modelsDirectory = join(state, 'models');

  /** What belongs in `models/`. */
  const register = async (retired: ReadonlySet<string>): Promise<Register> => ({
    directory: modelsDirectory,
    whole: /^\d{8}-\d{9}-[0-9a-f]{4}$/,
    unfinished: /^\.fit-\d+-\d+$/,
    registered: new Set((await store.models()).map(m => m.version)),
    retired,
  });

  /** Fits a model on the folded state and registers it; `run` is the ledger's run that it ends. */
  async function fit(
    run: number,
    settings: {
      readonly fit?: FitOptions;
      readonly progress?: Progress;
      readonly signal?: AbortSignal;
      /** Measures a fit with the same options, for the manifest. */
      readonly measure?: (() => Promise<ModelMetrics>) | undefined;
    } = {},
  ): Promise<Manifest> {
    const fitOptions = settings.fit ?? options.fit;
    const counts = await store.counts();
    if (counts.items === 0 || counts.interactions === 0) {
      throw new StageError(
        'STATE_EMPTY',
        `expected interactions to fit on, found ${counts.interactions} (${counts.inbox} events wait in the inbox)`,
      );
    }
    const mode = await gramian.modeFor(fitOptions);
    const segments = (await store.segments()).length;
    const size = { ...counts, mode, segments, options: fitOptions } as const;
    const { threads } = planFit(size, memoryBytes, options.threads);
    const keys = await store.itemKeys();
    const input = await gramian.input(keys.length, fitOptions);
    const parent = (await store.models()).at(-1)?.version;
    const about = {
      parent,
      events: await store.folded(),
      users: counts.users,
      interactions: counts.interactions,
    };
    const made = { gramian: input, keys, options: fitOptions, threads, memoryBytes, ...about };
    const manifest = await makeModel(modelsDirectory, made, settings);
    failpoint('refit:model-written');
    const detail = `${manifest.parameters} parameters from ${counts.interactions} interactions`;
    await store.endRun(run, { status: 'done', detail, version: manifest.version }, manifest);
    return manifest;
  }

  /** The manifest of `version`, of the newest model without one. `MODEL_UNKNOWN` if there is none. */
  async function manifestOf(version?: string): Promise<Manifest> {
    const models = await store.models();
    const model = version === undefined ? models.at(-1) : models.find(m => m.version === version);
    if (!model || !existsSync(join(modelsDirectory, model.version))) {
      const known =
        models
          .map(m => m.version)
          .slice(-3)
          .join(', ') || 'none';
      throw new StageError(
        'MODEL_UNKNOWN',
        `model ${version ?? '(newest)'}: expected one of the state's models, found ${known}`,
      );
    }
    const manifest = readManifest(join(modelsDirectory, model.version));
    if (manifest.weightsChecksum === model.manifest.weightsChecksum) return manifest;
    throw new StageError(
      'STATE_CORRUPT',
      `${join(modelsDirectory, model.version, 'manifest.json')}: expected the checksum ${model.manifest.weightsChecksum} that was registered, found ${manifest.weightsChecksum}`,
    );
  }

  /** As `manifestOf`, of a model whose weights have the checksum that is registered; `STATE_CORRUPT` names the file. */
  async function intact(version?: string): Promise<Manifest> {
    const manifest = await manifestOf(version);
    const path = weightsPath(manifest.version);
    const found = existsSync(path) ? fileChecksum(path).checksum : 'no file';
    if (found === manifest.weightsChecksum) return manifest;
    throw new StageError(
      'STATE_CORRUPT',
      `${path}: expected the checksum ${manifest.weightsChecksum} of the manifest, found ${found}`,
    );
  }

  const weightsPath = (version: string): string => join(modelsDirectory, version, 'weights.safetensors');

  interface Loaded {
    readonly version: string;
    readonly keys: readonly string[];
    readonly ids: ReadonlyMap<string, number>;
    readonly model: Model;
    readonly scorer: Scorer;
  }
  let loaded: Loaded | undefined;

  /** A model with its dictionary, kept for the next call. */
  async function load(version?: string): Promise<Loaded> {
    const { version: wanted } = await manifestOf(version);
    if (loaded?.version === wanted) return loaded;
    loaded = await open(wanted);
    return loaded;
  }

  async function open(version: string): Promise<Loaded> {
    const manifest = await intact(version);
    const keys = await store.itemKeys(manifest.items.count);
    const ids = new Map(keys.map((key, i) => [key, i]));
    const model = loadModel(weightsPath(manifest.version));
    return { version: manifest.version, keys, ids, model, scorer: createScorer(model) };
  }

  /** Lets go of the model that is kept, because its file changes. */
  const unload = (): void => {
    loaded = undefined;
  };

  /** Top-k list of a user from the folded history. `UNKNOWN_ID` for a user without one. */
  async function recommend(user: string, k: number, version?: string): Promise<RankedList> {
    const { keys, scorer } = await load(version);
    const history = await store.history(user);
    if (!history) throw new StageError('UNKNOWN_ID', `user ${JSON.stringify(user)}: not in the folded state`);
    const { items, scores } = scorer.topK(history.indices, history.values, k);
    return { id: user, items: Array.from(items, i => keys[i]!), scores };
  }

  /** Items that a user of only `item` would be recommended. `UNKNOWN_ID` for an item the model does not know. */
  async function similar(item: string, k: number, version?: string): Promise<RankedList> {
    const { keys, ids, scorer } = await load(version);
    const i = ids.get(item);
    if (i === undefined) throw new StageError('UNKNOWN_ID', `item ${JSON.stringify(item)}: not in the model`);
    const { items, scores } = scorer.topK(Int32Array.of(i), undefined, k);
    return { id: item, items: Array.from(items, j => keys[j]!), scores };
  }

  /**
   * Ranks items for the users of `heldOut` from their folded histories and measures how well that finds the
   * held-out items (keys; pairs with an unknown user count as misses).
   */
  async function evaluate(heldOut: Iterable<HeldOut>, k: number, version?: string): Promise<Metrics> {
    const { ids, model } = await load(version);
    const { train, test, catalogue } = await matchHeldOut(heldOut, store.histories(4096), ids);
    return evaluateModel(model, train, test, k, { threads: options.threads, memoryBytes, catalogue });
  }

  /** Compares the lists that two models make for a sample of users; ids of items are the same in all models of a state. */
  async function compare(a: string, b: string, k: number, sample: number): Promise<ListDifference> {
    const [before, after] = [await load(a), await open(b)];
    const comparison = createComparison(k, [before.model.n, after.model.n]);
    const step = Math.max(1, Math.floor((await store.userCount()) / sample));
    let user = 0;
    for await (const { rows } of store.histories(4096)) {
      for (let r = 0; r < rows.users.length; r++, user++) {
        if (user % step !== 0) continue;
        const [lo, hi] = [rows.indptr[r]!, rows.indptr[r + 1]!];
        const [items, values] = [rows.indices.subarray(lo, hi), rows.values?.subarray(lo, hi)];
        const listOf = ({ scorer }: Loaded) => scorer.topK(items, values, k).items;
        comparison.add(listOf(before), listOf(after));
      }
    }
    return comparison.result();
  }

  /** Deletes all models but the `keep` newest, the one whose lists are published, and `named`; returns their versions. */
  async function pruneModels(keep: number, named: readonly string[] = []): Promise<readonly string[]> {
    const records = await store.models();
    const old = records
      .slice(0, Math.max(0, records.length - keep))
      .filter(m => !m.published && !named.includes(m.version))
      .map(m => m.version);
    for (const version of old) {
      await store.forgetModel(version);
      rmSync(join(modelsDirectory, version), { recursive: true, force: true });
    }
    return old;
  }

  return {
    register,
    unload,
    pruneModels,
    fit,
    manifestOf,
    intact,
    weightsPath,
    recommend,
    similar,
    evaluate,
    compare,
  };
}
