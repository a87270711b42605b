import { join } from 'node:path';
import { createGramianKeeper } from './gramian.js';
import { createHoldouts } from './holdouts.js';
import { createIngest } from './ingest.js';
import { createModelLibrary } from './models.js';
import { tidy } from './orphans.js';
import type { PipelineParts } from './parts.js';
import { createPublisher } from './publisher.js';

/**
 * Joins the stages over a state: ingest, fold, fit, publish, and the reads. Each step leaves the state whole
 * if the process dies in it. Steps of one pipeline are called one at a time, except `ingest`, which may run
 * beside any other.
 */
export function joinPipeline(parts: PipelineParts) {
  const { input, modeFor, register: segmentRegister, ...gramian } = createGramianKeeper(parts);
  const { intact, register: modelRegister, ...models } = createModelLibrary(parts, { input, modeFor });
  return {
    parts,
    ...createIngest(parts),
    ...gramian,
    ...models,
    ...createHoldouts(parts),
    ...createPublisher(parts, { ...models, manifestOf: intact }),
    /**
     * Removes what was being written when a process died, and sets files aside that the state does not know. Called once,
     * before anything else.
     */
    async removeOrphans(): Promise<void> {
      const { directory, store, log } = parts;
      const retired = new Set(await store.retired());
      const aside = join(directory, 'aside');
      const files = [await segmentRegister(retired), await modelRegister(retired)].flatMap(r =>
        tidy(r, aside),
      );
      if (retired.size > 0) await store.clearRetired();
      if (files.length > 0)
        log.warn(
          { files, directory: aside },
          'files that the state does not know were set aside: a crash left them, or the state is older than they are',
        );
    },
  };
}

/** A joined pipeline. */
export type Stage = ReturnType<typeof joinPipeline>;
