import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as suite from '#src/testing/index.js';

/** The suite for sources, run by vitest. */
export const sourceSuite = (
  name: string,
  makeStream: (directory: string) => suite.Stream | Promise<suite.Stream>,
): void => suite.sourceSuite({ describe, it, beforeEach, afterEach, expect }, name, makeStream);
