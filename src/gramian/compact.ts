import { join } from 'node:path';
import { openSegment, type SegmentFile, writeSegment } from './segment.js';
import { assertExact, sumSegments } from './stored.js';

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

/** Writes the sum of `segments` as one new segment of width n; entries that cancel are gone. */
export function compactSegments(directory: string, segments: readonly SegmentFile[], n: number): SegmentFile {
  const open = segments.map(s => openSegment(join(directory, s.file)));
  try {
    const exact = function* () {
      for (const block of sumSegments(open, n)) yield assertExact(block);
    };
    // A sum of s int32 values may leave int32.
    let wide = open.some(s => s.wide);
    if (!wide) for (const { values } of sumSegments(open, n)) wide ||= values.some(v => v !== (v | 0));
    return writeSegment(directory, n, open[0]?.scale ?? 1, exact(), { wide });
  } finally {
    for (const s of open) s.close();
  }
}
