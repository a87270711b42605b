import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Sets V8's semi-space growth factor to 1, so that the young generation keeps its size: it holds short-lived objects,
 * and one that has grown does not shrink by itself. V8 resets the flag when a worker starts; call it again then.
 */
export const holdYoungGeneration = (): void => setFlagsFromString('--semi-space-growth-factor=1');

let collect: (() => void) | undefined;

/** Runs a full collection, for callers that know that much memory has just become free. */
export function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
