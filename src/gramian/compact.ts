import { join } from 'node:path';
import { StageError } from '../errors.js';
import type { Rows } from '../matrix/rows.js';
import { Arena } from '../runtime/arena.js';
import { openIntactSegments, type SegmentFile } from './segment.js';
import { openSegmentWriter } from './segment-writer.js';
import { sumSegments } from './sum.js';
import type { ColumnBlock } from './update.js';
import { closedGaps, negativeSegment, renumbered } from './without.js';

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

/** A user to leave out of a sum: the row, and the items that go with it (ascending ids). */
export interface LeftOut {
  readonly row: Rows;
  readonly dropped: Int32Array;
}

/**
 * Writes the sum of `segments` as one new segment of width n; entries that cancel are gone. `before` are the older ones.
 * `OVERFLOW` when a sum may reach 2⁵³, `STATE_CORRUPT` when a checksum is wrong.
 */
export function compactSegments(
  directory: string,
  segments: readonly SegmentFile[],
  n: number,
  before: readonly SegmentFile[] = [],
): SegmentFile {
  return writeSum(directory, segments, n, { before });
}

/**
 * As `compactSegments` of all segments, without a user, in the numbering without the dropped items. `STATE_CORRUPT` when
 * those have entries in the sum.
 */
export function compactWithout(
  directory: string,
  segments: readonly SegmentFile[],
  n: number,
  leftOut: LeftOut,
): SegmentFile {
  return writeSum(directory, segments, n, { leftOut });
}

function writeSum(
  directory: string,
  segments: readonly SegmentFile[],
  n: number,
  { before = [], leftOut }: { readonly before?: readonly SegmentFile[]; readonly leftOut?: LeftOut },
): SegmentFile {
  const arena = new Arena();
  const paths = segments.map(s => join(directory, s.file));
  const open = openIntactSegments(arena, paths);
  const older = before.map(s => join(directory, s.file));
  const { scale = 1, userWeighting = 0 } = open[0] ?? {};
  const parts = leftOut ? [...open, negativeSegment(leftOut.row, scale, userWeighting)] : open;
  const ids = leftOut && leftOut.dropped.length > 0 ? closedGaps(n, leftOut.dropped) : undefined;
  const width = n - (leftOut?.dropped.length ?? 0);
  const writer = openSegmentWriter(arena, directory, width, scale, userWeighting);
  try {
    for (const block of sumSegments(arena, parts, n, older)) {
      if (ids) assertNone(block, ids, directory);
      writer.write(ids ? renumbered(block, ids) : block);
    }
    return writer.finish();
  } finally {
    writer.close();
    for (const s of open) s.close();
  }
}

/** Throws if a column of an item that nobody has any more has entries. */
function assertNone({ first, lengths }: ColumnBlock, ids: Int32Array, directory: string): void {
  if (lengths.every((length, c) => length === 0 || ids[first + c]! >= 0)) return;
  throw new StageError(
    'STATE_CORRUPT',
    `${directory}: the Gramian has entries of an item that nobody has: it is not that of the histories`,
  );
}
