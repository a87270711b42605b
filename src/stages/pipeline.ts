import { createForgetting } from './forget.js';
import { createGramianKeeper } from './gramian.js';
import { createHoldouts } from './holdouts.js';
import { createIngest } from './ingest.js';
import { createModelLibrary } from './models.js';
import { tidyState } from './orphans.js';
import type { PipelineParts } from './parts.js';
import { createPublisher } from './publisher.js';

/**
 * Joins the stages over a state: ingest, fold, fit, publish, and the reads. If the process dies inside one of these, the
 * state stays consistent. Call one of them at a time; only `ingest` may run beside another.
 */
export function joinPipeline(parts: PipelineParts) {
  const ingest = createIngest(parts);
  const gramian = createGramianKeeper(parts);
  const models = createModelLibrary(parts, gramian);
  const holdouts = createHoldouts(parts);
  const publisher = createPublisher(parts, { ...models, manifestOf: models.intact });
  const forgetting = createForgetting(parts, { gramian, models, withSinks: publisher.withSinks });
  return {
    parts,

    ingest: ingest.ingest,
    drain: ingest.drain,
    assertTolerance: ingest.assertTolerance,

    fold: gramian.fold,
    compact: gramian.compact,
    verify: gramian.verify,
    gramianEntries: gramian.entries,

    fit: models.fit,
    manifestOf: models.manifestOf,
    weightsPath: models.weightsPath,
    recommend: models.recommend,
    similar: models.similar,
    segments: models.segments,
    compare: models.compare,
    evaluate: models.evaluate,
    pruneModels: models.pruneModels,

    holdOut: holdouts.holdOut,
    measureFit: holdouts.measureFit,
    measureModel: holdouts.measureModel,
    tune: holdouts.tune,

    publish: publisher.publish,
    publishFresh: publisher.publishFresh,
    lagging: publisher.lagging,
    rollback: publisher.rollback,
    withSinks: publisher.withSinks,

    forget: forgetting.forget,
    resumeErasures: forgetting.resumeErasures,
    receipts: forgetting.receipts,

    /** Tidies the files of the state; see `tidyState`. Called once, before anything else. */
    removeOrphans: () => tidyState(parts, [gramian.register, models.register]),
  };
}

/** A joined pipeline. */
export type Stage = ReturnType<typeof joinPipeline>;
