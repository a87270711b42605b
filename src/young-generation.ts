import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the young generation of the collector at the size it has: one that has grown does not shrink by itself, and what
 * is soon gone only takes more room in it. The whole process forgets it whenever a thread begins; then it is said again.
 */
export const holdYoungGeneration = (): void => setFlagsFromString('--semi-space-growth-factor=1');
