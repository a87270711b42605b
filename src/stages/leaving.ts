import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LeavingUser, Remainder } from '../contracts/index.js';
import { takePlace, writeWithout } from './erased-models.js';
import { modelsDirectory } from './model-files.js';
import type { PipelineParts } from './parts.js';
import { segmentsDirectory, segmentWithout } from './segments.js';

/** Writes the models and the Gramian again without a user and without items, beside the present ones. */
export async function remainderOf(
  parts: PipelineParts,
  leaving: LeavingUser,
  signal: AbortSignal | undefined,
): Promise<Remainder> {
  const { directory, store } = parts;
  const models = modelsDirectory(directory);
  const known = await store.models();
  mkdirSync(models, { recursive: true });
  return {
    models: writeWithout(models, known, leaving.dropped),
    segment: await segmentWithout(parts, leaving, signal),
  };
}

/** Puts models that were written again, and registered, in place of the old ones: also those of a process that died. */
export async function placeModels({ directory, store }: PipelineParts): Promise<void> {
  takePlace(modelsDirectory(directory), await store.models());
}

/**
 * From this share of all items on, unused ones are worth it that everything is numbered anew: with 100,000 items, a
 * million interactions and 42 million entries of G that took two thirds of the time of a fit.
 */
const worthwhile = 0.01;

/** Who answers from models, and must not while items get other numbers. */
export interface Answering {
  renumbered<T>(body: () => Promise<T>): Promise<T>;
}

/**
 * Takes items that are in nobody's history out of the dictionary, the Gramian and the models: any with `all`, else only
 * if they are more than a hundredth of the items. Returns those that left.
 */
export async function dropItems(
  parts: PipelineParts,
  models: Answering,
  all: boolean,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const { directory, store, log } = parts;
  const old = await store.segments();
  const enough = (unused: number, items: number): boolean => all || unused > worthwhile * items;
  const items = await models.renumbered(async () => {
    const left = await store.dropUnused(enough, leaving => remainderOf(parts, leaving, signal));
    if (left.length > 0) await placeModels(parts);
    return left;
  });
  if (items.length === 0) return items;
  const kept = new Set((await store.segments()).map(s => s.file));
  for (const { file } of old)
    if (!kept.has(file)) rmSync(join(segmentsDirectory(directory), file), { force: true });
  log.info({ items: items.length }, 'items without interactions left');
  return items;
}
