import { closeSync, openSync } from 'node:fs';
import { StageError } from '../errors.js';
import { numbersOf } from '../matrix/int64.js';
import { Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';
import { addLoaded, checksumOf, openChecksum } from './checksum.js';
import { cscContent } from './csc-segment.js';
import { openTensors, type SegmentContent, type TensorFile, tensorBytes } from './segment-content.js';

/** A Gramian segment on disk: an immutable file of columns whose sum with its siblings is G. */
export interface SegmentFile {
  readonly id: string;
  /** File name under `gramian/`. */
  readonly file: string;
  /** Number of items when it was made; the segment is n × n. */
  readonly n: number;
  readonly nnz: number;
  readonly bytes: number;
}

/** The format that is written. */
export const segmentFormat = 'sansa-stream/gramian@3';
/** What reads a file of each format. */
const contents: Readonly<Record<string, (file: TensorFile) => SegmentContent>> = {
  'sansa-stream/gramian@1': cscContent,
  [segmentFormat]: encodedContent,
};

/** An open segment file. */
export interface Segment extends SegmentContent {
  readonly path: string;
  readonly n: number;
  readonly nnz: number;
  readonly scale: number;
  /** η of the user weights in it. */
  readonly userWeighting: number;
  /** Largest magnitude of an entry. */
  readonly largest: number;
  /** All of its metadata. */
  readonly notes: Readonly<Record<string, string>>;
  /** Recomputes the checksum of the whole file, in an arena of its own unless one is given. */
  intact(arena?: Arena, threads?: Threads): boolean;
  close(): void;
}

/** The columns of a file of the present format; see `openSegmentWriter`. */
function encodedContent(file: TensorFile): SegmentContent {
  const data = file.part('data');
  const columns = new Int32Array(tensorBytes(file, 'columns'));
  const lengths = new Int32Array(tensorBytes(file, 'lengths'));
  const offsets = numbersOf(new BigInt64Array(tensorBytes(file, 'offsets')));
  const k = columns.length;
  const ends = Math.ceil(offsets[k]! / 8) * 8 === data.bytes;
  const sizes = ['diagonal', 'squares'].every(name => file.part(name).bytes === 8 * k);
  if (lengths.length !== k || offsets.length !== k + 1 || !ends || !sizes) {
    throw new StageError('STATE_CORRUPT', `segment ${file.path}: its tensors do not fit one another`);
  }
  const behind = file.part('squares');
  return {
    columns,
    lengths,
    offsets,
    facts: () => ({
      diagonal: new Float64Array(tensorBytes(file, 'diagonal')),
      squares: new Float64Array(tensorBytes(file, 'squares')),
    }),
    load: (arena, from, to, at) =>
      file.read(data.at + offsets[from]!, arena.u8(at, offsets[to]! - offsets[from]!)),
    checksum(arena, threads) {
      const mark = arena.mark();
      const state = openChecksum(arena);
      const load = (done: number, bytes: number, to: number) =>
        file.read(data.at + done, arena.u8(to, bytes));
      addLoaded(arena, state, behind.at + behind.bytes - data.at, load, threads);
      const sum = checksumOf(arena, state);
      arena.release(mark);
      return sum;
    },
  };
}

/** Opens a segment and checks its header against its size; `STATE_CORRUPT` names the file otherwise. */
export function openSegment(path: string): Segment {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw new StageError(
      'STATE_CORRUPT',
      `segment ${path}: expected a readable file (${(cause as Error).message})`,
    );
  }
  try {
    const file = openTensors(fd, path);
    const { metadata } = file.header;
    const n = Number(/^\[(\d+), ?\1\]$/.exec(metadata.shape ?? '')?.[1] ?? Number.NaN);
    const contentOf = contents[metadata.format ?? ''];
    if (!contentOf) {
      const known = Object.keys(contents).join(' or ');
      throw new StageError(
        'STATE_CORRUPT',
        `segment ${path}: expected the format ${known}, found ${metadata.format}`,
      );
    }
    const content = contentOf(file);
    const { columns, lengths } = content;
    const nnz = lengths.reduce((sum, length) => sum + length, 0);
    const { items = n, entries = nnz } = metadata;
    if (
      Number(items) !== n ||
      Number(entries) !== nnz ||
      (columns.length > 0 && columns[columns.length - 1]! >= n)
    ) {
      throw new StageError(
        'STATE_CORRUPT',
        `segment ${path}: shape ${metadata.shape} does not fit its tensors`,
      );
    }
    return {
      ...content,
      path,
      n,
      nnz,
      scale: Number(metadata.scale),
      userWeighting: Number(metadata.userWeighting ?? 0),
      largest: Number(metadata.largest),
      notes: metadata,
      intact: (arena = new Arena(), threads) => content.checksum(arena, threads) === metadata.checksum,
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Opens segments whose checksums are right; `STATE_CORRUPT` names the first file whose is not. */
export function openIntactSegments(arena: Arena, paths: readonly string[], threads?: Threads): Segment[] {
  const open: Segment[] = [];
  try {
    for (const path of paths) {
      const segment = openSegment(path);
      open.push(segment);
      if (!segment.intact(arena, threads))
        throw new StageError('STATE_CORRUPT', `segment ${path}: its checksum is not that of its content`);
    }
    return open;
  } catch (error) {
    for (const segment of open) segment.close();
    throw error;
  }
}
