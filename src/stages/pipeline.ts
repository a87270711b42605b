import { createGramianKeeper } from './gramian.js';
import { createHoldouts } from './holdouts.js';
import { createIngest } from './ingest.js';
import { createModelLibrary } from './models.js';
import type { PipelineParts } from './parts.js';
import { createPublisher } from './publisher.js';

/**
 * Joins the stages over a state: ingest, fold, fit, publish, and the reads. Each step leaves the state whole
 * if the process dies in it. Steps of one pipeline are called one at a time, except `ingest`, which may run
 * beside any other.
 */
export function joinPipeline(parts: PipelineParts) {
  const { input, modeFor, removeOrphans: removeSegments, ...gramian } = createGramianKeeper(parts);
  const { removeOrphans: removeModels, ...models } = createModelLibrary(parts, { input, modeFor });
  return {
    parts,
    ...createIngest(parts),
    ...gramian,
    ...models,
    ...createHoldouts(parts),
    ...createPublisher(parts, models),
    /** Removes files that a crash left unregistered. Called once, before anything else. */
    async removeOrphans(): Promise<void> {
      await removeSegments();
      await removeModels();
    },
  };
}

/** A joined pipeline. */
export type Stage = ReturnType<typeof joinPipeline>;
