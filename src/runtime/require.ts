import { createRequire } from 'node:module';

/**
 * Loads a CommonJS package, when it is wanted. An import parses each of its files once more, for the names that it
 * exports, and that is a part of the time that a command takes to begin.
 */
export const required = createRequire(import.meta.url);
