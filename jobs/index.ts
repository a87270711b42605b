/** The library: everything of the stage, and `createPipeline`, which opens one over the built-in connectors. */
export * from '../connectors/kafka/index.js';
export * from '../src/index.js';
export { loadConfig, type PipelineConfig, type PipelineOptions, pipelineOptions } from './config.js';
export { createPipeline, openPipeline, type Pipeline } from './open.js';
export { serve } from './service.js';
export { foldStep, freshStep, publishStep, refitStep, rollbackStep, tuneStep } from './steps.js';
