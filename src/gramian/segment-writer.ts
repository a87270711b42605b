import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { widened } from '../matrix/int64.js';
import { encodeHeader, syncDirectory } from '../matrix/safetensors-header.js';
import type { Address, Arena } from '../runtime/arena.js';
import { addToChecksum, checksumOf, openChecksum } from './checksum.js';
import { type SegmentFile, segmentFormat } from './segment.js';
import { encodedBytes } from './segment-content.js';
import type { ColumnBlock } from './update.js';

/** Room for the header, which is written last. */
const headerBytes = 1024;
/** Bytes that are written at a time. */
const pieceBytes = 1 << 20;

/** Bytes of the arena that writing takes at most, of columns of so many entries. */
export const writerBytes = (longest: number): number => encodedBytes(longest) + pieceBytes + 256;

/** A segment file being written. */
export interface SegmentWriter {
  /** Appends the next columns, views into the writer's arena; those between this block and the last one are empty. */
  write(block: ColumnBlock): void;
  /** Completes, syncs and names the file. */
  finish(): SegmentFile;
  /** Removes what was written, unless it was finished, and what it took of the arena. */
  close(): void;
}

/** The columns that are in the file: facts that a reader would have to scan for otherwise. Only used pages take memory. */
class ColumnList {
  readonly columns: Int32Array;
  readonly lengths: Int32Array;
  /** Where each begins in `data`, and where the last one ends. */
  readonly offsets: Float64Array;
  readonly diagonal: Float64Array;
  readonly squares: Float64Array;
  count = 0;

  constructor(n: number) {
    [this.columns, this.lengths] = [new Int32Array(n), new Int32Array(n)];
    this.offsets = new Float64Array(n + 1);
    [this.diagonal, this.squares] = [new Float64Array(n), new Float64Array(n)];
  }

  /** Bytes of `data`. */
  get end(): number {
    return this.offsets[this.count]!;
  }

  add(column: number, length: number, bytes: number, diagonal: number, squares: number): void {
    const k = this.count++;
    this.columns[k] = column;
    this.lengths[k] = length;
    this.offsets[k + 1] = this.offsets[k]! + bytes;
    this.diagonal[k] = diagonal;
    this.squares[k] = squares;
  }

  /** The arrays behind `data`, in the order of the file. */
  tensors() {
    const k = this.count;
    return [
      { name: 'columns', dtype: 'I32', array: this.columns.subarray(0, k) },
      { name: 'lengths', dtype: 'I32', array: this.lengths.subarray(0, k) },
      { name: 'offsets', dtype: 'I64', array: widened(this.offsets.subarray(0, k + 1)) },
      { name: 'diagonal', dtype: 'F64', array: this.diagonal.subarray(0, k) },
      { name: 'squares', dtype: 'F64', array: this.squares.subarray(0, k) },
    ] as const;
  }
}

/** The Gramian that the columns are from. */
interface SegmentAbout {
  readonly n: number;
  readonly scale: number;
  readonly userWeighting: number;
  /** More of the metadata. */
  readonly notes?: Readonly<Record<string, string>> | undefined;
}

/**
 * Writes the bytes behind the header of a file. `#checksum` covers the bytes that are in the file, up to `#end`; the first
 * `#filled` bytes of `#piece` follow them.
 */
class Body {
  readonly #arena: Arena;
  readonly #fd: number;
  readonly #checksum: Address;
  readonly #piece = new Uint8Array(pieceBytes);
  #filled = 0;
  #end = headerBytes;

  constructor(arena: Arena, fd: number) {
    this.#arena = arena;
    this.#fd = fd;
    this.#checksum = openChecksum(arena);
  }

  /** Where the file ends. */
  get end(): number {
    return this.#end;
  }

  get checksum(): string {
    return checksumOf(this.#arena, this.#checksum);
  }

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + pieceBytes - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === pieceBytes) this.flush();
    }
  }

  /** Writes what waits; all but the last piece are multiples of 8 bytes. */
  flush(): void {
    const bytes = this.#piece.subarray(0, this.#filled);
    addToChecksum(this.#arena, this.#checksum, bytes);
    writeAt(this.#fd, bytes, this.#end);
    this.#end += this.#filled;
    this.#filled = 0;
  }
}

function writeAt(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

/**
 * Writes columns to a temporary file. `#list`, `#nnz` and `#largest` describe the columns that `#body` has; the file has
 * a header, and its name, only after `finish`.
 */
class ColumnWriter implements SegmentWriter {
  readonly #arena: Arena;
  readonly #directory: string;
  readonly #about: SegmentAbout;
  readonly #id = randomUUID();
  readonly #file = `${this.#id}.safetensors`;
  readonly #temporary: string;
  readonly #fd: number;
  readonly #mark: Address;
  readonly #body: Body;
  /** Where the kernel puts a column's diagonal entry, its sum of squares and its largest magnitude. */
  readonly #facts: Float64Array;
  readonly #list: ColumnList;
  #nnz = 0;
  #largest = 0;

  constructor(arena: Arena, directory: string, about: SegmentAbout) {
    this.#arena = arena;
    this.#directory = directory;
    this.#about = about;
    this.#list = new ColumnList(about.n);
    this.#temporary = join(directory, `${this.#file}.tmp`);
    this.#fd = openSync(this.#temporary, 'w');
    this.#mark = arena.mark();
    this.#body = new Body(arena, this.#fd);
    this.#facts = arena.f64(arena.bytes(24, 'columns of a segment'), 3);
  }

  write({ first, lengths, indices, values }: ColumnBlock): void {
    const arena = this.#arena;
    const mark = arena.mark();
    const longest = lengths.reduce((a, b) => Math.max(a, b), 0);
    const to = arena.bytes(encodedBytes(longest), 'columns of a segment');
    const wide = values instanceof Float64Array ? 1 : 0;
    const facts = this.#facts.byteOffset;
    const [rows, data] = [indices.byteOffset, values.byteOffset];
    for (let c = 0, e = 0; c < lengths.length; e += lengths[c++]!) {
      const count = lengths[c]!;
      if (count === 0) continue;
      const at = data + values.BYTES_PER_ELEMENT * e;
      const last = arena.kernels.encodeColumn(first + c, count, rows + 4 * e, at, wide, to, facts);
      // kernels return addresses as int32
      this.#append(first + c, count, arena.u8(to, (last - to) >>> 0));
    }
    arena.release(mark);
  }

  /** Appends an encoded column, whose facts the kernel has just left. */
  #append(column: number, count: number, bytes: Uint8Array): void {
    const [diagonal, squares, largest] = this.#facts;
    this.#body.append(bytes);
    this.#list.add(column, count, bytes.length, diagonal!, squares!);
    this.#nnz += count;
    this.#largest = Math.max(this.#largest, largest!);
  }

  finish(): SegmentFile {
    const { end } = this.#list;
    this.#body.append(new Uint8Array((8 - (end % 8)) % 8));
    const tensors = this.#list.tensors();
    for (const { array } of tensors)
      this.#body.append(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    this.#body.flush();
    const shapes = [
      { name: 'data', dtype: 'U8', shape: [Math.ceil(end / 8) * 8] } as const,
      ...tensors.map(({ name, dtype, array }) => ({ name, dtype, shape: [array.length] })),
    ];
    writeAt(this.#fd, encodeHeader(shapes, this.#metadata(), headerBytes), 0);
    fsyncSync(this.#fd);
    renameSync(this.#temporary, join(this.#directory, this.#file));
    syncDirectory(this.#directory);
    return { id: this.#id, file: this.#file, n: this.#about.n, nnz: this.#nnz, bytes: this.#body.end };
  }

  #metadata(): Record<string, string> {
    const { n, scale, userWeighting, notes } = this.#about;
    return {
      ...notes,
      format: segmentFormat,
      shape: JSON.stringify([n, n]),
      items: String(n),
      entries: String(this.#nnz),
      scale: String(scale),
      userWeighting: String(userWeighting),
      largest: String(this.#largest),
      checksum: this.#body.checksum,
    };
  }

  close(): void {
    closeSync(this.#fd);
    rmSync(this.#temporary, { force: true });
    this.#arena.release(this.#mark);
  }
}

/**
 * Begins `<id>.safetensors` with the k columns that are not empty: `data` U8, their bytes (see the kernels
 * `segment-code`) up to a multiple of 8, `columns` I32[k], `lengths` I32[k] in entries, `offsets` I64[k + 1] into `data`,
 * `diagonal` F64[k], `squares` F64[k] of each column. The file appears under its name only when it is whole and synced.
 * In the metadata, `largest` is the largest magnitude, `checksum` Fletcher's two sums (64 bits each) of all tensors.
 */
export const openSegmentWriter = (
  arena: Arena,
  directory: string,
  n: number,
  scale: number,
  userWeighting = 0,
  notes?: Readonly<Record<string, string>>,
): SegmentWriter => new ColumnWriter(arena, directory, { n, scale, userWeighting, notes });
