import { toStageError } from '../src/errors.js';
import type { JobPipeline } from './job.js';

/** The versions in each sink, and the version that each of its aliases names; changes nothing. */
export function sinkContents({ parts: { sinks } }: JobPipeline) {
  return Promise.all(
    sinks.map(async sink => {
      const { pointers, versions } = await sink.contents();
      return { sink: sink.name, aliases: Object.fromEntries(pointers), versions };
    }),
  );
}

/** Deletes the models of the state that `models.keep` does not keep and no alias of a sink names; returns their versions. */
export async function pruneModels(pipeline: JobPipeline): Promise<readonly string[]> {
  const contents = await sinkContents(pipeline);
  const named = contents.flatMap(({ versions, aliases }) =>
    versions.filter(v => Object.values(aliases).includes(v.version)).map(v => v.model ?? v.version),
  );
  return pipeline.pruneModels(pipeline.config.models.keep, named);
}

/** As `pruneModels`, at the end of a job: a failure is only logged, because models and feeds are right without it. */
export async function pruneModelsQuietly(pipeline: JobPipeline): Promise<void> {
  const { store, log } = pipeline.parts;
  try {
    if ((await store.models()).length <= pipeline.config.models.keep) return;
    const models = await pruneModels(pipeline);
    if (models.length > 0) log.info({ models }, 'old models deleted');
  } catch (error) {
    log.warn({ error: toStageError(error).message }, 'old models were not deleted');
  }
}
