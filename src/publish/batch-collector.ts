import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { holdYoungGeneration } from '../young-generation.js';

/** Batches between two collections of what is young, and of everything. */
const minorEvery = 8;
const majorEvery = 128;

/**
 * Returns a function to call after every batch: it runs the collector now and then. Batches are made of typed arrays,
 * whose bytes are not what makes the collector run: left to itself it holds some 50 MiB of them.
 */
export function batchCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void;
  let batches = 0;
  return () => {
    if (++batches % minorEvery !== 0) return;
    holdYoungGeneration();
    if (batches % majorEvery === 0) collect();
    else collect({ type: 'minor' });
  };
}
