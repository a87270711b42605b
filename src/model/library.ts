import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RankedList } from '../connector.js';
import { StageError } from '../errors.js';
import { evaluate as evaluateModel, type Metrics } from '../evaluate/metrics.js';
import { failpoint } from '../failpoint.js';
import type { GramianInput } from '../fit/fit.js';
import { type Rows, rowsOf } from '../gramian/rows.js';
import { planFit } from '../memory.js';
import type { FitOptions } from '../options.js';
import type { PipelineParts, Progress } from '../parts.js';
import { makeModel } from './make.js';
import type { Model } from './model.js';
import { createScorer, type Scorer } from './score.js';
import { type Manifest, readManifest } from './version.js';
import { loadModel } from './weights-file.js';

/** Makes and reads the models of a state. */
export function createModelLibrary(
  { directory: state, store, options, fitMemoryBytes: memoryBytes }: PipelineParts,
  gramianInput: (n: number) => Promise<GramianInput>,
) {
  const modelsDirectory = join(state, 'models');
  mkdirSync(modelsDirectory, { recursive: true });

  /** Removes model directories that no committed transaction names. */
  async function removeOrphans(): Promise<void> {
    const versions = new Set((await store.models()).map(m => m.version));
    for (const name of readdirSync(modelsDirectory)) {
      if (!versions.has(name)) rmSync(join(modelsDirectory, name), { recursive: true });
    }
  }

  /** Fits a model on the folded state and registers it; `run` is the ledger's run that it ends. */
  async function fit(
    run: number,
    settings: { readonly fit?: FitOptions; readonly progress?: Progress; readonly signal?: AbortSignal } = {},
  ): Promise<Manifest> {
    const fitOptions = settings.fit ?? options.fit;
    const counts = await store.counts();
    if (counts.items === 0 || counts.interactions === 0) {
      throw new StageError(
        'STATE_EMPTY',
        `expected interactions to fit on, found ${counts.interactions} (${counts.inbox} events wait in the inbox)`,
      );
    }
    const mode = (await store.gramianMode()) === 'stored' ? 'stored' : 'implicit';
    const segments = (await store.segments()).length;
    const { density, scans } = fitOptions;
    const { threads } = planFit({ ...counts, mode, segments, density, scans }, memoryBytes, options.threads);
    const keys = await store.itemKeys();
    const gramian = await gramianInput(keys.length);
    const parent = (await store.models()).at(-1)?.version;
    const about = {
      parent,
      events: await store.folded(),
      users: counts.users,
      interactions: counts.interactions,
    };
    const input = { gramian, keys, options: fitOptions, threads, memoryBytes, ...about };
    const manifest = await makeModel(modelsDirectory, input, settings);
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
    return readManifest(join(modelsDirectory, model.version));
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
    const manifest = await manifestOf(version);
    if (loaded?.version === manifest.version) return loaded;
    const keys = await store.itemKeys(manifest.items.count);
    const ids = new Map(keys.map((key, i) => [key, i]));
    const model = loadModel(weightsPath(manifest.version));
    loaded = { version: manifest.version, keys, ids, model, scorer: createScorer(model) };
    return loaded;
  }

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
  async function evaluate(
    heldOut: Iterable<{ readonly user: string; readonly item: string }>,
    k: number,
    version?: string,
  ): Promise<Metrics> {
    const { keys, ids, model } = await load(version);
    const wanted = new Map<string, Set<number>>();
    let unknown = keys.length;
    for (const { user, item } of heldOut) {
      const items = wanted.get(user) ?? new Set<number>();
      wanted.set(user, items.add(ids.get(item) ?? unknown++));
    }
    const train: Rows[] = [];
    const users: string[] = [];
    for await (const { keys: some, rows } of store.histories(4096)) {
      users.push(...some);
      train.push(rows);
    }
    const id = new Map(users.map((user, r) => [user, r]));
    for (const user of wanted.keys()) if (!id.has(user)) id.set(user, id.size);
    const tested = [...wanted].sort((a, b) => id.get(a[0])! - id.get(b[0])!);
    const test = rowsOf(
      unknown,
      tested.map(([user, items]) => [id.get(user)!, [...items].sort((a, b) => a - b)]),
    );
    return evaluateModel(model, concatenate(train, keys.length), test, k, { threads: options.threads });
  }

  return { removeOrphans, fit, manifestOf, weightsPath, recommend, similar, evaluate };
}

/** The rows of all `parts`, one behind the other and numbered from 0. */
function concatenate(parts: readonly Rows[], n: number): Rows {
  const lists = parts.flatMap(p =>
    Array.from(p.users, (_, r) => p.indices.subarray(p.indptr[r]!, p.indptr[r + 1]!)),
  );
  return rowsOf(
    n,
    lists.map((items, r) => [r, items]),
  );
}
