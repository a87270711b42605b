import { collectGarbage, holdYoungGeneration } from '../runtime/collector.js';

/** Batches between two collections. */
const batchesBetween = 128;

/**
 * Returns a function to call after each batch, which runs the garbage collector now and then. Batches consist of typed
 * arrays. Their bytes lie outside of the heap, so V8 would collect late and hold some 50 MiB of them.
 */
export function batchCollector(): () => void {
  let batches = 0;
  return () => {
    if (batches++ === 0) holdYoungGeneration();
    if (batches % batchesBetween === 0) collectGarbage();
  };
}
