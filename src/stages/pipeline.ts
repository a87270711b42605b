import { toStageError } from '../errors.js';
import { ageingNow, frameIsDue } from './ageing.js';
import { createDrift } from './drift.js';
import { createForgetting, forgetInSinks } from './forget.js';
import { createGramianKeeper } from './gramian.js';
import { createHoldouts } from './holdouts.js';
import { createIngest } from './ingest.js';
import { dropItems } from './leaving.js';
import { createModelLibrary } from './models.js';
import { tidyState } from './orphans.js';
import type { PipelineParts } from './parts.js';
import { createPublisher } from './publisher.js';
import { createRetention } from './retention.js';

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
    retryDeadLetters: ingest.retryDeadLetters,

    fold: gramian.fold,
    /** Whether a fold has something to do although no event waits: events have grown old under new settings. */
    frameIsDue: () => frameIsDue(parts),
    /** What of the events counts now, by their age. */
    ageing: () => ageingNow(parts),
    /** Lets items leave that nobody has, also the lists, and merges all segments; returns how many there were of each. */
    async compact(signal?: AbortSignal) {
      const items = await dropItems(parts, models, true, signal);
      if (items.length > 0)
        await forgetInSinks(parts, publisher.withSinks, { users: [], items }).catch(error =>
          parts.log.warn(
            { err: toStageError(error).message },
            'items that left stay in lists until the next publication',
          ),
        );
      return { items: items.length, merged: await gramian.compact(signal) };
    },
    /** Lets items leave that nobody has, if there are enough of them. */
    dropItems: (signal?: AbortSignal) => dropItems(parts, models, false, signal),
    /** Compares the stored Gramian with the histories, and the files of segments and models with their checksums. */
    async verify(signal?: AbortSignal) {
      const found = await gramian.verify(signal);
      return { ...found, broken: [...found.broken, ...(await models.damaged(signal))] };
    },
    gramianEntries: gramian.entries,

    /** How far the state has moved since the newest and since the published model. */
    drifts: createDrift(parts).drifts,

    fit: models.fit,
    manifestOf: models.manifestOf,
    intact: models.intact,
    weightsPath: models.weightsPath,
    recommend: models.recommend,
    similar: models.similar,
    explain: models.explain,
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

    retain: createRetention(parts).retain,

    /** Tidies the files of the state; see `tidyState`. Called once, before anything else. */
    removeOrphans: () => tidyState(parts, [gramian.register, models.register]),
  };
}

/** A joined pipeline. */
export type Stage = ReturnType<typeof joinPipeline>;
