import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { encodeHeader, syncDirectory } from '../matrix/safetensors-header.js';
import type { Arena } from '../runtime/arena.js';
import { addToChecksum, checksumOf, openChecksum } from './checksum.js';
import { type SegmentFile, segmentFormat } from './segment.js';
import { encodedBytes } from './segment-content.js';
import type { ColumnBlock } from './update.js';

/** Room for the header, which is written last. */
const headerBytes = 1024;
/** Bytes that are written at a time. */
const pieceBytes = 1 << 20;

/** A segment file being written. */
export interface SegmentWriter {
  /** Appends the next columns, views into the writer's arena; those between this block and the last one are empty. */
  write(block: ColumnBlock): void;
  /** Completes, syncs and names the file. */
  finish(): SegmentFile;
  /** Removes what was written, unless it was finished, and what it took of the arena. */
  close(): void;
}

/** A column that is in the file: facts that a reader would have to scan for otherwise. */
interface ColumnList {
  readonly columns: number[];
  readonly lengths: number[];
  /** Where each begins in `data`, and where the last one ends. */
  readonly offsets: number[];
  readonly diagonal: number[];
  readonly squares: number[];
}

/** The arrays behind `data`, in the order of the file. */
function tensorsOf({ columns, lengths, offsets, diagonal, squares }: ColumnList) {
  return [
    { name: 'columns', dtype: 'I32', array: Int32Array.from(columns) },
    { name: 'lengths', dtype: 'I32', array: Int32Array.from(lengths) },
    { name: 'offsets', dtype: 'I64', array: BigInt64Array.from(offsets, BigInt) },
    { name: 'diagonal', dtype: 'F64', array: Float64Array.from(diagonal) },
    { name: 'squares', dtype: 'F64', array: Float64Array.from(squares) },
  ] as const;
}

/**
 * Begins `<id>.safetensors` with the k columns that are not empty: `data` U8, their bytes (see the kernels
 * `segment-code`) up to a multiple of 8, `columns` I32[k], `lengths` I32[k] in entries, `offsets` I64[k + 1] into `data`,
 * `diagonal` F64[k], `squares` F64[k] of each column. The file appears under its name only when it is whole and synced.
 * In the metadata, `largest` is the largest magnitude, `checksum` Fletcher's two sums (64 bits each) of all tensors.
 */
export function openSegmentWriter(
  arena: Arena,
  directory: string,
  n: number,
  scale: number,
  userWeighting = 0,
): SegmentWriter {
  const id = randomUUID();
  const file = `${id}.safetensors`;
  const temporary = join(directory, `${file}.tmp`);
  const fd = openSync(temporary, 'w');
  const mark = arena.mark();
  const checksum = openChecksum(arena);
  const facts = arena.f64(arena.bytes(24, 'columns of a segment'), 3);
  const list: ColumnList = { columns: [], lengths: [], offsets: [0], diagonal: [], squares: [] };
  const piece = new Uint8Array(pieceBytes);
  let filled = 0;
  let written = headerBytes;
  let nnz = 0;
  let end = 0;
  let largest = 0;

  const put = (bytes: Uint8Array, position: number): void => {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  };
  /** Writes what waits; all but the last piece are multiples of 8 bytes. */
  const flush = (): void => {
    const bytes = piece.subarray(0, filled);
    addToChecksum(arena, checksum, bytes);
    put(bytes, written);
    written += filled;
    filled = 0;
  };
  const append = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + pieceBytes - filled);
      piece.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled === pieceBytes) flush();
    }
  };

  function finish(): SegmentFile {
    append(new Uint8Array((8 - (end % 8)) % 8));
    const tensors = tensorsOf(list);
    const dataBytes = Math.ceil(end / 8) * 8;
    for (const { array } of tensors) append(new Uint8Array(array.buffer));
    flush();
    const header = encodeHeader(
      [
        { name: 'data', dtype: 'U8', shape: [dataBytes] },
        ...tensors.map(({ name, dtype, array }) => ({ name, dtype, shape: [array.length] })),
      ],
      {
        format: segmentFormat,
        shape: JSON.stringify([n, n]),
        items: String(n),
        entries: String(nnz),
        scale: String(scale),
        userWeighting: String(userWeighting),
        largest: String(largest),
        checksum: checksumOf(arena, checksum),
      },
      headerBytes,
    );
    put(header, 0);
    fsyncSync(fd);
    renameSync(temporary, join(directory, file));
    syncDirectory(directory);
    return { id, file, n, nnz, bytes: written };
  }

  return {
    write({ first, lengths, indices, values }) {
      const mark = arena.mark();
      const longest = lengths.reduce((a, b) => Math.max(a, b), 0);
      const to = arena.bytes(encodedBytes(longest), 'columns of a segment');
      const wide = values instanceof Float64Array ? 1 : 0;
      const [rows, data] = [indices.byteOffset, values.byteOffset];
      for (let c = 0, e = 0; c < lengths.length; e += lengths[c++]!) {
        const count = lengths[c]!;
        if (count === 0) continue;
        const at = data + values.BYTES_PER_ELEMENT * e;
        const last = arena.kernels.encodeColumn(
          first + c,
          count,
          rows + 4 * e,
          at,
          wide,
          to,
          facts.byteOffset,
        );
        append(arena.u8(to, last - to));
        end += last - to;
        nnz += count;
        list.columns.push(first + c);
        list.lengths.push(count);
        list.offsets.push(end);
        list.diagonal.push(facts[0]!);
        list.squares.push(facts[1]!);
        largest = Math.max(largest, facts[2]!);
      }
      arena.release(mark);
    },
    finish,
    close() {
      closeSync(fd);
      rmSync(temporary, { force: true });
      arena.release(mark);
    },
  };
}
