import { createHash } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { bestBytes } from '../matrix/scratch.js';
import type { Arena } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';
import { record } from '../runtime/records.js';
import type { GramianRoom, GramianSize } from './columns.js';
import { type ColumnSizes, encodedScratch, LOAD_BYTES, orderBytes } from './encoded.js';
import { pass, passBytes, rangesOf } from './pass.js';
import { openSegment } from './segment.js';
import { encodedBytes } from './segment-content.js';
import { openSegmentWriter, type SegmentWriter, writerBytes } from './segment-writer.js';
import { type StoredGramian, storedRoom } from './stored.js';

/** What a pruned Gramian keeps: of each column its diagonal entry and the `keep` rows with the largest G_ij G_ii^(−α). */
export interface Pruning {
  readonly keep: number;
  readonly alpha: number;
}

const shape = /^pruned-[0-9a-f]{16}\.safetensors$/;

/** What is kept of a range of n columns at most. */
const keptParts = (n: number, entries: number) => ({
  starts: 4 * (n + 1),
  lengths: 4 * n,
  indices: 4 * entries,
  values: 8 * entries,
});

/** Bytes of an encoded entry at least. */
const ENTRY_BYTES = 2.5;

/** Bytes that the pruned view of a Gramian of this size takes, as `storedRoom`. */
export function prunedRoom(size: GramianSize, keep: number): GramianRoom {
  const longest = Math.min(size.items, keep + 1);
  return storedRoom(size, [encodedBytes(longest)], longest);
}

/** Bytes of making the pruned view of n items on `threads` threads, from files of so many bytes; an upper bound. */
export function pruningRoom(n: number, threads: number, files: readonly number[], keep: number): number {
  const kept = Math.min(n, keep + 1);
  const most = Math.max(kept, Math.min(n * kept, LOAD_BYTES / ENTRY_BYTES));
  const scratch = encodedScratch(n, n, files.length, false, bestBytes(keep)).bytes;
  const columns = orderBytes(n) + 8 * n + bytesOf(keptParts(n, most));
  return columns + passBytes(n, files) + threads * scratch + writerBytes(kept);
}

/** The file of the pruned sum of these segments: its name changes with what it is made of. */
export function prunedPath(directory: string, segments: readonly string[], { keep, alpha }: Pruning): string {
  const source = JSON.stringify([segments.map(path => basename(path)), keep, alpha]);
  const name = createHash('sha256').update(source).digest('hex').slice(0, 16);
  return join(directory, `pruned-${name}.safetensors`);
}

/** Removes the pruned Gramians of a directory but the one at `kept`. */
export function removePruned(directory: string, kept?: string): void {
  if (!existsSync(directory)) return;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (shape.test(name) && path !== kept) rmSync(path, { force: true });
  }
}

/** The density of the Gramian that the file at `path` was pruned from. */
export function densityBefore(path: string): number {
  const segment = openSegment(path);
  segment.close();
  return Number(segment.notes.density);
}

/**
 * Writes the rows that are kept of G as a segment to `path`, in one pass. Only rows of more popular items are candidates, as
 * the solvers read no others; `positions` orders the items by G_jj. The file is a view: exact segments stay the state.
 */
export function writePruned(
  arena: Arena,
  G: StoredGramian,
  positions: Int32Array,
  { keep, alpha }: Pruning,
  path: string,
  about: { readonly scale: number; readonly userWeighting: number },
): void {
  const mark = arena.mark();
  const directory = dirname(path);
  const notes = { density: String(G.density()), keep: String(keep), alpha: String(alpha) };
  const writer = openSegmentWriter(arena, directory, G.n, about.scale, about.userWeighting, notes);
  try {
    writeKept(arena, G, positions, { keep, alpha }, writer);
    renameSync(join(directory, writer.finish().file), path);
  } finally {
    writer.close();
    arena.release(mark);
  }
}

function writeKept(
  arena: Arena,
  G: StoredGramian,
  positions: Int32Array,
  { keep, alpha }: Pruning,
  writer: SegmentWriter,
): void {
  const what = 'pruned columns';
  const stored = G.columns(positions);
  const { entries, longest } = stored.sizes;
  const reach = arena.copy(
    G.diagonal().map(g => (g > 0 ? g ** -alpha : 0)),
    what,
  );
  const kept = entries.map(count => Math.min(count, keep + 1));
  const most = mostKept(stored.sizes, kept);
  const at = allocate(arena, keptParts(G.n, most), what);
  const { lengths, indices, values } = at;
  const out = record(arena, 'Columns', { lengths, indices, values }, what);
  const scratch = encodedScratch(G.n, longest, stored.segments.length, false, bestBytes(keep));
  const startsOf = (first: number, last: number) => {
    const starts = arena.i32(at.starts, last - first + 1);
    starts[0] = 0;
    for (let k = first; k < last; k++) starts[k - first + 1] = starts[k - first]! + kept[k]!;
    return starts;
  };
  const pack = (first: number, last: number): void => {
    const starts = arena.i32(at.starts, last - first + 1);
    const found = arena.i32(lengths, last - first);
    const [rows, data] = [arena.i32(indices, most), arena.f64(values, most)];
    let w = 0;
    for (const [k, count] of found.entries()) {
      rows.copyWithin(w, starts[k]!, starts[k]! + count);
      data.copyWithin(w, starts[k]!, starts[k]! + count);
      w += count;
    }
    writer.write({ first, lengths: found, indices: rows.subarray(0, w), values: data.subarray(0, w) });
  };
  const argsOf = (E: number, bounds: number, first: number, last: number) =>
    [E, bounds, reach, keep, startsOf(first, last).byteOffset, out] as const;
  pass(stored, 'pruneStored', scratch, argsOf, { done: pack });
}

/** The most entries that are kept of a range of a pass. */
function mostKept(sizes: ColumnSizes, kept: Float64Array): number {
  let [most, first] = [0, 0];
  for (const end of rangesOf(sizes).ends) {
    most = Math.max(
      most,
      kept.subarray(first, end).reduce((a, b) => a + b, 0),
    );
    first = end;
  }
  return most;
}
