import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Keeps the young generation of the collector at the size it has: one that has grown does not shrink by itself, and what
 * is soon gone only takes more room in it. The whole process forgets it whenever a thread begins; then it is said again.
 */
export const holdYoungGeneration = (): void => setFlagsFromString('--semi-space-growth-factor=1');

let collect: (() => void) | undefined;

/** Runs the collector over everything: for those who know better than it what is no longer used. */
export function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
