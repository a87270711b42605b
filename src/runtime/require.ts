import { createRequire } from 'node:module';

/**
 * Loads a CommonJS package when it is needed. `import` would parse each of its files a second time, to find the names that
 * they export; that is a noticeable part of the start of a command.
 */
export const required = createRequire(import.meta.url);
