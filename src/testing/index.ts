/** For authors of sinks: the behaviour that every sink shows, as tests for a runner such as vitest. */
export { leaseSuite } from './lease-suite.js';
export {
  inPlaceSuite,
  publicationOf,
  ranked,
  type SinkSuiteOptions,
  sinkSuite,
  type TestRunner,
} from './sink-suite.js';
