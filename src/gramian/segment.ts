import { randomUUID } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../errors.js';
import { encodeHeader, parseHeader, syncDirectory } from '../matrix/safetensors-header.js';
import { type Address, Arena } from '../runtime/arena.js';
import type { ColumnBlock } from './update.js';

/** A Gramian segment on disk: an immutable CSC file whose sum with its siblings is G. */
export interface SegmentFile {
  readonly id: string;
  /** File name under `gramian/`. */
  readonly file: string;
  /** Number of items when it was made; the segment is n × n. */
  readonly n: number;
  readonly nnz: number;
  readonly bytes: number;
}

const headerBytes = 1024;
const copyBytes = 1 << 22;
/** Bytes of a running checksum: Fletcher's two sums. */
const stateBytes = 16;

const bytesOf = (a: NodeJS.ArrayBufferView): Uint8Array =>
  new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** The checksums of the three tensors, as hexadecimal digits. */
const checksumOf = (arena: Arena, states: readonly Address[]): string =>
  states.map(at => Buffer.from(arena.u8(at, stateBytes)).toString('hex')).join('');

/** Adds bytes that lie outside of the arena to a running checksum. */
function addOutside(arena: Arena, state: Address, bytes: Uint8Array): void {
  const mark = arena.mark();
  const buffer = arena.bytes(copyBytes, 'a checksum');
  for (let at = 0; at < bytes.length; at += copyBytes) {
    const part = bytes.subarray(at, at + copyBytes);
    arena.u8(buffer, part.length).set(part);
    arena.kernels.fletcher(buffer, part.length / 4, state);
  }
  arena.release(mark);
}

/** A segment file being written. */
export interface SegmentWriter {
  /** Appends the next columns, views into the writer's arena; those between this block and the last one are empty. */
  write(block: ColumnBlock): void;
  /** Completes, syncs and names the file. */
  finish(): SegmentFile;
  /** Removes what was written, unless it was finished, and what it took of the arena. */
  close(): void;
}

/**
 * Begins `<id>.safetensors`: `indptr` I64[n + 1], `indices` I32[nnz] ascending within a column, `data` I32[nnz], or
 * F64[nnz] when the blocks are. At most `capacity` entries: the values are written behind room for that many
 * indices, and what is left of it is the tensor `unused`, a hole in the file. The file appears under its name only
 * when it is whole and synced. In the metadata, `largest` is the largest magnitude, `checksum` Fletcher's sums
 * (64 bits each) of the three tensors.
 */
export function openSegmentWriter(
  arena: Arena,
  directory: string,
  n: number,
  scale: number,
  capacity: number,
  userWeighting = 0,
): SegmentWriter {
  const id = randomUUID();
  const file = `${id}.safetensors`;
  const temporary = join(directory, `${file}.tmp`);
  const fd = openSync(temporary, 'w+');
  const mark = arena.mark();
  const states = [0, 1, 2].map(() => arena.zeros(stateBytes, 'a checksum')) as [Address, Address, Address];
  const indptr = new BigInt64Array(n + 1);
  const indicesAt = headerBytes + indptr.byteLength;
  const dataAt = indicesAt + 4 * capacity;
  let nnz = 0;
  let column = 0;
  let largest = 0;
  let wide = false;

  const put = (array: NodeJS.ArrayBufferView, position: number): void => {
    const bytes = bytesOf(array);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  };

  function finish(): SegmentFile {
    indptr.fill(BigInt(nnz), column + 1);
    addOutside(arena, states[0], bytesOf(indptr));
    const shape = JSON.stringify([n, n]);
    const unused = 4 * (capacity - nnz);
    const header = encodeHeader(
      [
        { name: 'indptr', dtype: 'I64', shape: [n + 1] },
        { name: 'indices', dtype: 'I32', shape: [nnz] },
        ...(unused > 0 ? [{ name: 'unused', dtype: 'U8', shape: [unused] } as const] : []),
        { name: 'data', dtype: wide ? 'F64' : 'I32', shape: [nnz] },
      ],
      {
        format: 'sansa-stream/gramian@1',
        shape,
        scale: String(scale),
        userWeighting: String(userWeighting),
        largest: String(largest),
        checksum: checksumOf(arena, states),
      },
      headerBytes,
    );
    put(header, 0);
    put(indptr, headerBytes);
    const bytes = dataAt + (wide ? 8 : 4) * nnz;
    ftruncateSync(fd, bytes);
    fsyncSync(fd);
    renameSync(temporary, join(directory, file));
    syncDirectory(directory);
    return { id, file, n, nnz, bytes };
  }

  return {
    write({ first, lengths, indices, values }) {
      const count = indices.length;
      while (column < first) indptr[++column] = BigInt(nnz);
      let end = nnz;
      for (const length of lengths) {
        end += length;
        indptr[++column] = BigInt(end);
      }
      wide = values instanceof Float64Array;
      const kernel = wide ? arena.kernels.largestF64 : arena.kernels.largestI32;
      largest = Math.max(largest, kernel(values.byteOffset, count));
      arena.kernels.fletcher(indices.byteOffset, count, states[1]);
      arena.kernels.fletcher(values.byteOffset, values.byteLength / 4, states[2]);
      put(indices, indicesAt + 4 * nnz);
      put(values, dataAt + values.BYTES_PER_ELEMENT * nnz);
      nnz = end;
    },
    finish,
    close() {
      closeSync(fd);
      rmSync(temporary, { force: true });
      arena.release(mark);
    },
  };
}

/** An open segment file. */
export interface Segment {
  readonly path: string;
  readonly n: number;
  readonly nnz: number;
  readonly scale: number;
  /** η of the user weights in it. */
  readonly userWeighting: number;
  /** Largest magnitude of an entry. */
  readonly largest: number;
  /** Start of each column, n + 1 long. */
  readonly indptr: Float64Array;
  /** Entries of the columns `first … last − 1`, in buffers of their own. */
  read(first: number, last: number): { indices: Int32Array; values: Int32Array | Float64Array };
  /** Recomputes the checksum of the whole file, in an arena of its own unless one is given. */
  intact(arena?: Arena): boolean;
  close(): void;
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
    const { tensors, metadata, start } = parseHeader(fd, fstatSync(fd).size, path);
    const n = Number(/^\[(\d+), ?\1\]$/.exec(metadata.shape ?? '')?.[1] ?? Number.NaN);
    const part = (name: string) => {
      const tensor = tensors.get(name);
      if (!tensor)
        throw new StageError('STATE_CORRUPT', `segment ${path}: expected a tensor ${name}, found none`);
      return { ...tensor, at: start + tensor.begin, bytes: tensor.end - tensor.begin };
    };
    const parts = { indptr: part('indptr'), indices: part('indices'), data: part('data') };
    const wide = parts.data.dtype === 'F64';
    const width = wide ? 8 : 4;
    const load = (at: number, bytes: number): ArrayBuffer => {
      const buffer = new Uint8Array(bytes);
      for (let done = 0; done < bytes; ) {
        const got = readSync(fd, buffer, done, bytes - done, at + done);
        if (got === 0)
          throw new StageError(
            'STATE_CORRUPT',
            `segment ${path}: expected ${bytes} bytes at ${at}, found ${done}`,
          );
        done += got;
      }
      return buffer.buffer;
    };
    const indptr = Float64Array.from(new BigInt64Array(load(parts.indptr.at, parts.indptr.bytes)), Number);
    const nnz = indptr[indptr.length - 1]!;
    if (indptr.length !== n + 1 || parts.indices.bytes !== nnz * 4 || parts.data.bytes !== nnz * width) {
      throw new StageError(
        'STATE_CORRUPT',
        `segment ${path}: shape ${metadata.shape} does not fit its tensors`,
      );
    }
    return {
      path,
      n,
      nnz,
      scale: Number(metadata.scale),
      userWeighting: Number(metadata.userWeighting ?? 0),
      largest: Number(metadata.largest),
      indptr,
      read(first, last) {
        const from = indptr[first]!;
        const count = indptr[last]! - from;
        const raw = load(parts.data.at + from * width, count * width);
        const indices = new Int32Array(load(parts.indices.at + from * 4, count * 4));
        return { indices, values: wide ? new Float64Array(raw) : new Int32Array(raw) };
      },
      intact(arena = new Arena()) {
        const mark = arena.mark();
        const states = [parts.indptr, parts.indices, parts.data].map(({ at, bytes }) => {
          const state = arena.zeros(stateBytes, 'a checksum');
          for (let done = 0; done < bytes; done += copyBytes) {
            const part = load(at + done, Math.min(copyBytes, bytes - done));
            addOutside(arena, state, new Uint8Array(part));
          }
          return state;
        });
        const found = checksumOf(arena, states);
        arena.release(mark);
        return found === metadata.checksum;
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Opens segments whose checksums are right; `STATE_CORRUPT` names the first file whose is not. */
export function openIntactSegments(arena: Arena, paths: readonly string[]): Segment[] {
  const open: Segment[] = [];
  try {
    for (const path of paths) {
      const segment = openSegment(path);
      open.push(segment);
      if (!segment.intact(arena))
        throw new StageError('STATE_CORRUPT', `segment ${path}: its checksum is not that of its content`);
    }
    return open;
  } catch (error) {
    for (const segment of open) segment.close();
    throw error;
  }
}
