import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelRecord } from '../contracts/index.js';
import type { Manifest } from '../contracts/manifest.js';
import { interactionsIn, stabilityIndex } from '../evaluate/popularity.js';
import { modelsDirectory, popularityFile } from './model-files.js';
import type { PipelineParts } from './parts.js';

/** Shortest time between two passes over the interactions. */
const everyMs = 60_000;

/** How far the state has moved from what a model was fitted on. */
export interface Drift {
  /** Events folded since, as a share of those folded until then. */
  readonly volume: number;
  /** Share of the present users, and of the present items, that came since. */
  readonly newUsers: number;
  readonly newItems: number;
  /**
   * Population stability index of interactions added since, over tenths of popularity, against those of the model. Of
   * the model's items alone; unknown for models of earlier programs.
   */
  readonly popularity: number | undefined;
}
export type Drifts = ReadonlyMap<string, Drift>;

/** The buckets of a model's items, if they are known and whole. */
function bucketsOf(directory: string, { version, items }: Manifest): Uint8Array | undefined {
  try {
    const found = readFileSync(join(modelsDirectory(directory), version, popularityFile));
    return found.length === items.count ? found : undefined;
  } catch {
    return undefined;
  }
}

/** The newest and the published model. */
const watched = (models: readonly ModelRecord[]): readonly Manifest[] =>
  models.filter((m, k) => m.published || k === models.length - 1).map(m => m.manifest);

/** Measures the drift since the newest and since the published model. */
async function measure({ directory, store }: PipelineParts): Promise<Drifts> {
  const models = watched(await store.models());
  if (models.length === 0) return new Map();
  const [folded, people, users] = [await store.folded(), await store.userCount(), await store.itemUsers()];
  // Items may have got other numbers meanwhile.
  const same = JSON.stringify(watched(await store.models())) === JSON.stringify(models);
  const grown = (before: number, now: number) => Math.max(0, now - before) / Math.max(1, now);
  return new Map(
    models.map(model => {
      const bucketOf = same ? bucketsOf(directory, model) : undefined;
      const before = model.popularity;
      const added =
        bucketOf && interactionsIn(bucketOf, users).map((now, b) => Math.max(0, now - (before?.[b] ?? 0)));
      const drift: Drift = {
        volume: (folded - model.events) / Math.max(1, model.events),
        newUsers: grown(model.users, people),
        newItems: grown(model.items.count, users.length),
        popularity: before && added ? stabilityIndex(before, added) : undefined,
      };
      return [model.version, drift];
    }),
  );
}

/** Tells the drift since the newest and since the published model, by version; it is measured once a minute at most. */
export function createDrift(parts: PipelineParts) {
  let last: { readonly of: string; readonly until: number; readonly found: Promise<Drifts> } | undefined;
  return {
    async drifts(): Promise<Drifts> {
      const of = watched(await parts.store.models())
        .map(m => m.version)
        .join();
      if (last?.of === of && Date.now() < last.until) return last.found;
      const found = measure(parts);
      last = { of, until: Date.now() + everyMs, found };
      found.catch(() => {
        last = undefined;
      });
      return found;
    },
  };
}
