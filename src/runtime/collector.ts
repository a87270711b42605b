import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Sets V8's semi-space growth factor to 1, so that the young generation keeps its size: it holds short-lived objects,
 * and one that has grown does not shrink by itself. V8 resets the flag when a worker starts; call it again then.
 */
export const holdYoungGeneration = (): void => setFlagsFromString('--semi-space-growth-factor=1');

let collect: ((options?: { readonly type: 'minor' }) => void) | undefined;

/** Runs a full collection, for callers that know that much memory has just become free. */
export function collectGarbage(): void {
  collector()();
}

/**
 * Collects young objects only, which takes under a millisecond. For loops that make small objects with much memory
 * outside of the heap, which V8 does not count.
 */
export function collectYoung(): void {
  collector()({ type: 'minor' });
}

function collector(): NonNullable<typeof collect> {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as NonNullable<typeof collect>;
  }
  return collect;
}
