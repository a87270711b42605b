import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Batches between two collections. */
const minorEvery = 8;

/**
 * Returns a function to call after every batch: it has the collector look at what is young now and then. Batches are made
 * of typed arrays, whose bytes are not what makes the collector run: left to itself it holds some 20 MiB of them.
 */
export function batchCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;
  let batches = 0;
  return () => {
    if (++batches % minorEvery === 0) collect({ type: 'minor' });
  };
}
