import { collectGarbage, holdYoungGeneration } from '../runtime/collector.js';

/** Batches between two collections. */
const every = 128;

/**
 * Returns a function to call after every batch: it runs the collector now and then. Batches are made of typed arrays,
 * whose bytes are not what makes the collector run: left to itself it holds some 50 MiB of them.
 */
export function batchCollector(): () => void {
  let batches = 0;
  return () => {
    if (batches++ === 0) holdYoungGeneration();
    if (batches % every === 0) collectGarbage();
  };
}
