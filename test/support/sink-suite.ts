import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Sink } from '#src/contracts/index.js';
import * as suite from '#src/testing/index.js';

export { ranked } from '#src/testing/index.js';

const runner = { describe, it, beforeEach, afterEach, expect };

/** The suite for sinks with versions, run by vitest. */
export const sinkSuite = (
  name: string,
  makeSink: (store: string) => Sink,
  options?: suite.SinkSuiteOptions,
): void => suite.sinkSuite(runner, name, makeSink, options);

/** The suite for sinks that overwrite in place, run by vitest. */
export const inPlaceSuite = (name: string, makeSink: (store: string) => Sink): void =>
  suite.inPlaceSuite(runner, name, makeSink);

/** The suite for leases of `leaseMs`, run by vitest. */
export const leaseSuite = (
  name: string,
  makeSink: (store: string) => Sink,
  options: suite.SinkSuiteOptions & { readonly leaseMs: number },
): void => suite.leaseSuite(runner, name, makeSink, options);
