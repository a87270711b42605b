/** For authors of sinks: the behaviour that every sink shows, as tests for a runner such as vitest. */
export { inPlaceSuite } from './in-place-suite.js';
export { type LeaseSuiteOptions, leaseSuite } from './lease-suite.js';
export { publicationOf, ranked, type SinkSuiteOptions, type TestRunner } from './sink-fixture.js';
export { sinkSuite } from './sink-suite.js';
