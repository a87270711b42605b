import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ListKind, Sink } from '#src/contracts/index.js';
import * as suite from '#src/testing/index.js';
import { manifestOf } from './manifest.js';

export { ranked } from '#src/testing/index.js';

/** Publishes a version with one list of each kind; its only item is the version. */
export async function publishOn(
  sink: Sink,
  version: string,
  kinds: readonly ListKind[] = ['users', 'items'],
): Promise<void> {
  await sink.connect();
  await sink.begin(manifestOf(version));
  for (const kind of kinds) await sink.write(kind, [suite.ranked(kind === 'users' ? 'x' : 'i', [version])]);
  await sink.finish();
  await sink.point(version);
  await sink.close();
}

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
  options: suite.LeaseSuiteOptions,
): void => suite.leaseSuite(runner, name, makeSink, options);
