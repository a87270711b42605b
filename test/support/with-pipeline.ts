import { createPipeline, type Pipeline, type PipelineOptions } from '#jobs/index.js';

/** Opens a pipeline, uses it and closes it, as one process would. */
export async function withPipeline<T>(
  directory: string,
  options: PipelineOptions,
  use: (p: Pipeline) => Promise<T>,
): Promise<T> {
  const pipeline = await createPipeline(options, { baseDirectory: directory });
  try {
    return await use(pipeline);
  } finally {
    await pipeline.close();
  }
}
