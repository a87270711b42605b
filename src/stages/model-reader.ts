import type { RankedList } from '../contracts/index.js';
import { StageError } from '../errors.js';
import { createComparison, type ListDifference } from '../evaluate/compare-lists.js';
import { evaluate } from '../evaluate/evaluate.js';
import { type HeldOut, matchHeldOut } from '../evaluate/held-out.js';
import type { Metrics } from '../evaluate/metrics.js';
import type { Rows } from '../matrix/rows.js';
import { explain } from '../model/explain.js';
import type { Model } from '../model/model.js';
import { createScorer, type Scorer } from '../model/score.js';
import { segmentsOf } from '../model/segments.js';
import { loadModel } from '../model/weights-file.js';
import { intactManifestOf, manifestOf, weightsPath } from './model-files.js';
import type { PipelineParts } from './parts.js';

/** A model with its dictionary. */
interface Loaded {
  readonly version: string;
  readonly keys: readonly string[];
  readonly ids: ReadonlyMap<string, number>;
  readonly model: Model;
  /** The model as its scorer uses it. */
  readonly scored: Model;
  readonly scorer: Scorer;
}

async function open(parts: PipelineParts, version: string): Promise<Loaded> {
  const manifest = await intactManifestOf(parts, version);
  const keys = await parts.store.itemKeys(manifest.items.count);
  const ids = new Map(keys.map((key, i) => [key, i]));
  const model = loadModel(weightsPath(parts.directory, manifest.version));
  // Sparse vectors of items score as well as their serving matrix, and say why.
  const scored = model.dimensions ? { ...model, serving: undefined } : model;
  return { version: manifest.version, keys, ids, model, scored, scorer: createScorer(scored) };
}

/** The number of an item. `UNKNOWN_ID` for one that the model does not know. */
function itemOf(ids: ReadonlyMap<string, number>, item: string): number {
  const i = ids.get(item);
  if (i === undefined) throw new StageError('UNKNOWN_ID', `item ${JSON.stringify(item)}: not in the model`);
  return i;
}

/** A score as a sum over the user's own items, the largest amounts first. */
export interface Explanation {
  readonly user: string;
  readonly item: string;
  readonly version: string;
  readonly score: number;
  /** Whether the user has the item: then no list of theirs shows it. */
  readonly owned: boolean;
  readonly contributions: readonly { readonly item: string; readonly amount: number }[];
}

/** A dimension with its name, and its items. */
export interface NamedSegment {
  /** Key of the item that the dimension is; null where that has left the model. */
  readonly dimension: string | null;
  /** Items that have the dimension at all. */
  readonly size: number;
  readonly items: readonly { readonly item: string; readonly score: number }[];
}

/**
 * Answers from the models of a state, at any time: users and items may get other numbers meanwhile, by `renumbered`.
 * `#loaded` is the model of the last answer, kept for the next one.
 */
export class ModelReader {
  readonly #parts: PipelineParts;
  #loaded: Loaded | undefined;
  /** How often numbers may have changed, and what may be changing them now. */
  #renumberings = 0;
  #renumbering: Promise<unknown> | undefined;

  constructor(parts: PipelineParts) {
    this.#parts = parts;
  }

  async #load(version?: string): Promise<Loaded> {
    const { version: wanted } = await manifestOf(this.#parts, version);
    if (this.#loaded?.version === wanted) return this.#loaded;
    const loaded = await open(this.#parts, wanted);
    this.#loaded = loaded;
    return loaded;
  }

  /** Runs `body`, which may give items other numbers and models other files. Answers wait for its end. */
  async renumbered<T>(body: () => Promise<T>): Promise<T> {
    this.#renumberings++;
    const done = body().finally(() => {
      this.#loaded = undefined;
      this.#renumbering = undefined;
    });
    this.#renumbering = done.catch(() => undefined);
    return done;
  }

  /** Reads a model and histories of the same numbers: once more where these may have changed in between. */
  async #consistently<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#renumbering;
      const before = this.#renumberings;
      try {
        const answer = await read();
        if (this.#renumberings === before) return answer;
      } catch (error) {
        if (this.#renumberings === before) throw error;
      }
    }
  }

  /** Top-k list of a user from the folded history. `UNKNOWN_ID` for a user without one. */
  recommend(user: string, k: number, version?: string): Promise<RankedList> {
    return this.#consistently(async () => {
      const { keys, scorer } = await this.#load(version);
      const history = await this.#history(user);
      const { items, scores } = scorer.topK(history.indices, history.values, k);
      return { id: user, items: Array.from(items, i => keys[i]!), scores };
    });
  }

  /** Items that a user of only `item` would be recommended. `UNKNOWN_ID` for an item the model does not know. */
  similar(item: string, k: number, version?: string): Promise<RankedList> {
    return this.#consistently(async () => {
      const { keys, ids, scorer } = await this.#load(version);
      const { items, scores } = scorer.topK(Int32Array.of(itemOf(ids, item)), undefined, k);
      return { id: item, items: Array.from(items, j => keys[j]!), scores };
    });
  }

  /** Why `item` has its score for `user`. `UNKNOWN_ID` for a user without a history and an item the model does not know. */
  explain(user: string, item: string, version?: string): Promise<Explanation> {
    return this.#consistently(async () => {
      const { keys, ids, scored, scorer, version: found } = await this.#load(version);
      const history = await this.#history(user);
      const j = itemOf(ids, item);
      const { indices, values } = history;
      const contributions = explain(scored, indices, values, j).map(c => ({
        item: keys[c.item]!,
        amount: c.amount,
      }));
      const score = scorer.scores(indices, values)[j]!;
      return { user, item, version: found, score, owned: indices.includes(j), contributions };
    });
  }

  async #history(user: string): Promise<Rows> {
    const history = await this.#parts.store.history(user);
    if (history) return history;
    throw new StageError('UNKNOWN_ID', `user ${JSON.stringify(user)}: not in the folded state`);
  }

  /** The k items that each dimension says most of. `USAGE` for a model whose dimensions are no items. */
  async segments(k: number, version?: string): Promise<readonly NamedSegment[]> {
    const loaded = await this.#consistently(() => this.#load(version));
    const { keys, model } = loaded;
    const found = segmentsOf(model, k);
    if (!found)
      throw new StageError(
        'USAGE',
        `segments: expected a model of compressed-elsa, found ${loaded.version}, whose dimensions are no items`,
      );
    return found.map(({ dimension, size, items, scores }) => ({
      dimension: keys[dimension] ?? null,
      size,
      items: Array.from(items, (i, r) => ({ item: keys[i]!, score: scores[r]! })),
    }));
  }

  /**
   * Ranks items for the users of `heldOut` from their folded histories and measures how well that finds the
   * held-out items (keys; pairs with an unknown user count as misses).
   */
  async evaluate(heldOut: Iterable<HeldOut>, k: number, version?: string): Promise<Metrics> {
    const { store, options, fitMemoryBytes: memoryBytes } = this.#parts;
    const { ids, model } = await this.#load(version);
    const { train, test, catalogue } = await matchHeldOut(heldOut, store.histories(4096), ids);
    return evaluate(model, train, test, k, { threads: options.threads, memoryBytes, catalogue });
  }

  /** Compares the lists that two models make for a sample of users; ids of items are the same in all models of a state. */
  compare(a: string, b: string, k: number, sample: number): Promise<ListDifference> {
    return this.#consistently(() => this.#compare(a, b, k, sample));
  }

  async #compare(a: string, b: string, k: number, sample: number): Promise<ListDifference> {
    const { store } = this.#parts;
    const [before, after] = [await this.#load(a), await open(this.#parts, b)];
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
}
