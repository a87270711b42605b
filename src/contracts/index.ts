/**
 * The contracts between the stage and the systems around it. `src/` knows only these; `connectors/`
 * implements them, one folder a system.
 */
export type * from './erasure.js';
export { type Logger, silent } from './logger.js';
export type * from './retention.js';
export type * from './sample.js';
export type * from './signal.js';
export * from './sink.js';
export type * from './source.js';
export type * from './state.js';
