import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { StageError } from '../errors.js';
import {
  type Dtype,
  encodeHeader,
  parseHeader,
  syncDirectory,
  type TensorHeader,
} from './safetensors-header.js';

/** Data of a tensor: U8, F32, F64, I32 or I64 in the file. */
export type TensorData = Uint8Array | Float32Array | Float64Array | Int32Array | BigInt64Array;

/** A named array in a file, row-major. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** Contents of a safetensors file. */
export interface TensorFile {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

const arrays = {
  U8: Uint8Array,
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
} as const;

function dtypeOf(data: TensorData): Dtype {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  if (data instanceof Int32Array) return 'I32';
  return data instanceof Uint8Array ? 'U8' : 'I64';
}

const bytesOf = (data: TensorData): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Most bytes of one call of the system. */
const callBytes = 2 ** 30;

/** Appends all bytes to an open file. */
export function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; )
    at += writeSync(fd, bytes, at, Math.min(callBytes, bytes.length - at));
}

/** Writes a safetensors file, the wide types first, so that everything is aligned. See `writeWhole`. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const sorted = Object.entries(tensors)
    .map(([name, { shape, data }]) => ({ name, shape, data, dtype: dtypeOf(data) }))
    .sort((a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  for (const { name, shape, data } of sorted) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (size !== data.length) {
      throw new StageError('INTERNAL', `tensor ${name}: shape [${shape}] for ${data.length} values`);
    }
  }
  writeWhole(path, fd => {
    writeAll(fd, encodeHeader(sorted, metadata));
    for (const { data } of sorted) writeAll(fd, bytesOf(data));
  });
}

/**
 * Lets `write` fill a file, which appears under its name whole and durable (temporary name, fsync, rename, fsync of the
 * directory) or not at all.
 */
export function writeWhole(path: string, write: (fd: number) => void): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const fd = openSync(temporary, 'w');
  try {
    write(fd);
    fsyncSync(fd);
    renameSync(temporary, path);
  } finally {
    closeSync(fd);
    rmSync(temporary, { force: true });
  }
  syncDirectory(dirname(path));
}

/** An open safetensors file. Close it. */
export interface OpenTensors {
  readonly tensors: TensorHeader['tensors'];
  readonly metadata: Readonly<Record<string, string>>;
  /** Elements from … to of a tensor, as they lie in the file, in memory that `place` gives. */
  read(name: string, from?: number, to?: number, place?: (bytes: number) => Uint8Array): TensorData;
  close(): void;
}

/** Opens a safetensors file to read parts of it. Throws `STATE_CORRUPT`, naming the file, if it is not one from end to end. */
export function openSafetensors(path: string): OpenTensors {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    throw new StageError('STATE_CORRUPT', `${path}: expected a readable file (${(cause as Error).message})`);
  }
  try {
    const { tensors, metadata, start } = parseHeader(fd, fstatSync(fd).size, path);
    return {
      tensors,
      metadata,
      read(name, from = 0, to, place = bytes => new Uint8Array(bytes)) {
        const info = tensors.get(name);
        if (!info) throw new StageError('STATE_CORRUPT', `${path}: expected a tensor ${name}, found none`);
        const each = arrays[info.dtype].BYTES_PER_ELEMENT;
        const begin = info.begin + from * each;
        const bytes = place((to === undefined ? info.end : info.begin + to * each) - begin);
        for (let at = 0; at < bytes.length; ) {
          const got = readSync(fd, bytes, at, Math.min(callBytes, bytes.length - at), start + begin + at);
          if (got === 0) throw new StageError('STATE_CORRUPT', `${path}: file ends inside tensor ${name}`);
          at += got;
        }
        return new arrays[info.dtype](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / each);
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Reads a safetensors file: all of it, or the tensors that are `wanted`, into memory that `place` gives. Throws `STATE_CORRUPT`, naming the file, if it is not one from end to end. */
export function readSafetensors(
  path: string,
  wanted: (name: string, all: readonly string[]) => boolean = () => true,
  place?: (bytes: number) => Uint8Array,
): TensorFile {
  const file = openSafetensors(path);
  try {
    const names = [...file.tensors.keys()];
    const read = [...file.tensors]
      .filter(([name]) => wanted(name, names))
      .map(([name, { shape }]) => [name, { shape, data: file.read(name, 0, undefined, place) }] as const);
    return { tensors: new Map(read), metadata: file.metadata };
  } finally {
    file.close();
  }
}
