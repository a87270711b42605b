/** For authors of sinks and sources: the behaviour that each of them shows, as tests for a runner such as vitest. */
export { inPlaceSuite } from './in-place-suite.js';
export { type LeaseSuiteOptions, leaseSuite } from './lease-suite.js';
export { publicationOf, ranked, type SinkSuiteOptions, type TestRunner } from './sink-fixture.js';
export { sinkSuite } from './sink-suite.js';
export type { Stream } from './source-fixture.js';
export { sourceSuite } from './source-suite.js';
