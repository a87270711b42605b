import { createHash, randomUUID } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StageError } from '../errors.js';
import { encodeHeader, parseHeader, syncDirectory } from '../model/safetensors-header.js';
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

const bytesOf = (a: NodeJS.ArrayBufferView): Uint8Array =>
  new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

/** A file that is appended to and hashed as it grows. */
function appender(path: string, position: number) {
  const fd = openSync(path, 'w+');
  const hash = createHash('sha256');
  return {
    fd,
    position,
    append(data: NodeJS.ArrayBufferView): void {
      const bytes = bytesOf(data);
      hash.update(bytes);
      for (let at = 0; at < bytes.length; )
        at += writeSync(fd, bytes, at, bytes.length - at, this.position + at);
      this.position += bytes.length;
    },
    digest: (): Buffer => hash.digest(),
  };
}

/** A segment file being written. */
export interface SegmentWriter {
  /** Appends the next columns; those between this block and the last one are empty. */
  write(block: ColumnBlock): void;
  /** Completes, syncs and names the file. */
  finish(): SegmentFile;
  /** Removes what was written, unless it was finished. */
  close(): void;
}

/**
 * Begins `<id>.safetensors`: `indptr` I64[n + 1], `indices` I32[nnz] ascending within a column, `data` I32[nnz], or
 * F64[nnz] when the blocks are. The file appears under its name only when it is whole and synced. In the
 * metadata, `largest` is the largest magnitude and `checksum` the SHA-256 of the three tensors' SHA-256 digests.
 */
export function openSegmentWriter(directory: string, n: number, scale: number): SegmentWriter {
  const id = randomUUID();
  const file = `${id}.safetensors`;
  const temporary = join(directory, `${file}.tmp`);
  const spill = join(directory, `${file}.data.tmp`);
  const indptr = new BigInt64Array(n + 1);
  const indices = appender(temporary, headerBytes + indptr.byteLength);
  // The two arrays grow side by side: the values wait in a file of their own.
  const data = appender(spill, 0);
  let nnz = 0;
  let column = 0;
  let largest = 0;
  let wide = false;

  function finish(): SegmentFile {
    indptr.fill(BigInt(nnz), column + 1);
    const size = data.position;
    const buffer = new Uint8Array(copyBytes);
    for (let at = 0; at < size; ) {
      const got = readSync(data.fd, buffer, 0, copyBytes, at);
      writeSync(indices.fd, buffer, 0, got, indices.position + at);
      at += got;
    }
    const digests = [createHash('sha256').update(bytesOf(indptr)).digest(), indices.digest(), data.digest()];
    const checksum = createHash('sha256').update(Buffer.concat(digests)).digest('hex');
    const shape = JSON.stringify([n, n]);
    const header = encodeHeader(
      [
        { name: 'indptr', dtype: 'I64', shape: [n + 1] },
        { name: 'indices', dtype: 'I32', shape: [nnz] },
        { name: 'data', dtype: wide ? 'F64' : 'I32', shape: [nnz] },
      ],
      { format: 'sansa-stream/gramian@1', shape, scale: String(scale), largest: String(largest), checksum },
      headerBytes,
    );
    writeSync(indices.fd, header, 0, header.length, 0);
    writeSync(indices.fd, bytesOf(indptr), 0, indptr.byteLength, headerBytes);
    fsyncSync(indices.fd);
    renameSync(temporary, join(directory, file));
    syncDirectory(directory);
    return { id, file, n, nnz, bytes: indices.position + size };
  }

  return {
    write(block) {
      while (column < block.first) indptr[++column] = BigInt(nnz);
      for (const length of block.lengths) {
        nnz += length;
        indptr[++column] = BigInt(nnz);
      }
      wide = block.values instanceof Float64Array;
      for (let e = 0; e < block.values.length; e++) largest = Math.max(largest, Math.abs(block.values[e]!));
      indices.append(block.indices);
      data.append(block.values);
    },
    finish,
    close() {
      closeSync(indices.fd);
      closeSync(data.fd);
      rmSync(spill, { force: true });
      rmSync(temporary, { force: true });
    },
  };
}

/** An open segment file. */
export interface Segment {
  readonly path: string;
  readonly n: number;
  readonly nnz: number;
  readonly scale: number;
  /** Largest magnitude of an entry. */
  readonly largest: number;
  /** Start of each column, n + 1 long. */
  readonly indptr: Float64Array;
  /** Entries of the columns `first … last − 1`, in buffers of their own. */
  read(first: number, last: number): { indices: Int32Array; values: Int32Array | Float64Array };
  /** Recomputes the checksum of the whole file. */
  intact(): boolean;
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
      largest: Number(metadata.largest),
      indptr,
      read(first, last) {
        const from = indptr[first]!;
        const count = indptr[last]! - from;
        const raw = load(parts.data.at + from * width, count * width);
        const indices = new Int32Array(load(parts.indices.at + from * 4, count * 4));
        return { indices, values: wide ? new Float64Array(raw) : new Int32Array(raw) };
      },
      intact() {
        const digests = [parts.indptr, parts.indices, parts.data].map(({ at, bytes }) => {
          const hash = createHash('sha256');
          for (let done = 0; done < bytes; done += copyBytes) {
            hash.update(new Uint8Array(load(at + done, Math.min(copyBytes, bytes - done))));
          }
          return hash.digest();
        });
        return createHash('sha256').update(Buffer.concat(digests)).digest('hex') === metadata.checksum;
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
