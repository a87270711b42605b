import { getHeapStatistics } from 'node:v8';
import { collectGarbage, holdYoungGeneration } from '../runtime/collector.js';

/** Batches between two collections at most, and bytes that they leave behind until one. */
const batchesBetween = 128;
const leftBytes = 12 * 2 ** 20;

/** Bytes of objects in this thread, and of the arrays that they own outside of the heap. */
function heldBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/**
 * Returns a function to call after each batch, which runs the garbage collector now and then. Batches consist of typed
 * arrays, or of ranked lists, which are old when they are done. V8 would collect late and hold some 50 MiB of them.
 */
export function batchCollector(): () => void {
  let batches = 0;
  let before = heldBytes();
  return () => {
    if (batches++ === 0) holdYoungGeneration();
    if (batches % batchesBetween !== 0 && heldBytes() < before + leftBytes) return;
    collectGarbage();
    before = heldBytes();
  };
}
