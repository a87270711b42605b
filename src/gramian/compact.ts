import { join } from 'node:path';
import { Arena } from '../runtime/arena.js';
import { openIntactSegments, type SegmentFile } from './segment.js';
import { openSegmentWriter } from './segment-writer.js';
import { sumSegments } from './sum.js';

/**
 * Which newest segments to merge so that sizes fall by at least half from one to the next: the longest
 * suffix that begins with a segment no larger than twice what follows it. A state then holds at most
 * log₂ nnz(G) segments and each entry is rewritten that often at most.
 */
export function suffixToCompact<S extends { readonly nnz: number }>(segments: readonly S[]): readonly S[] {
  let following = 0;
  let from = segments.length;
  for (let k = segments.length - 1; k >= 0; k--) {
    if (k < segments.length - 1 && segments[k]!.nnz <= 2 * following) from = k;
    following += segments[k]!.nnz;
  }
  return segments.slice(from);
}

/**
 * Writes the sum of `segments` as one new segment of width n; entries that cancel are gone. `OVERFLOW` when a
 * sum may reach 2⁵³, `STATE_CORRUPT` when a checksum is wrong.
 */
export function compactSegments(directory: string, segments: readonly SegmentFile[], n: number): SegmentFile {
  const arena = new Arena();
  const paths = segments.map(s => join(directory, s.file));
  const open = openIntactSegments(arena, paths);
  const { scale = 1, userWeighting } = open[0] ?? {};
  const writer = openSegmentWriter(arena, directory, n, scale, userWeighting);
  try {
    for (const block of sumSegments(arena, open, n)) writer.write(block);
    return writer.finish();
  } finally {
    writer.close();
    for (const s of open) s.close();
  }
}
