import { fstatSync, readSync } from 'node:fs';
import { StageError } from '../errors.js';
import { parseHeader, type TensorHeader } from '../matrix/safetensors-header.js';
import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';

/** Bytes of an encoded column of so many entries at most. */
export const encodedBytes = (entries: number): number => 12 + 50 * Math.ceil(entries / 4);

/** The columns of a segment that are not empty. */
export interface SegmentContent {
  /** Items, ascending. */
  readonly columns: Int32Array;
  /** Entries of each. */
  readonly lengths: Int32Array;
  /** Where `load` puts each of them, against the first one that it loads; one longer. */
  readonly offsets: Float64Array;
  /** G_jj of each, and Σ of its squares. */
  readonly facts: (arena: Arena) => { readonly diagonal: Float64Array; readonly squares: Float64Array };
  /** Brings the columns k … end − 1 of the list, encoded, into the arena. */
  readonly load: (arena: Arena, k: number, end: number, to: Address) => void;
  /** The checksum of what is in the file. */
  readonly checksum: (arena: Arena, threads?: Threads) => string;
}

/** An open file of tensors, for the formats. */
export interface TensorFile {
  readonly path: string;
  readonly header: TensorHeader;
  /** Bytes of a tensor in the file. */
  part(name: string): { readonly at: number; readonly bytes: number; readonly dtype: string };
  /** Fills `target` from the file. */
  read(at: number, target: Uint8Array): void;
}

/** Reads the header of an open file. */
export function openTensors(fd: number, path: string): TensorFile {
  const header = parseHeader(fd, fstatSync(fd).size, path);
  return {
    path,
    header,
    part(name) {
      const tensor = header.tensors.get(name);
      if (!tensor)
        throw new StageError('STATE_CORRUPT', `segment ${path}: expected a tensor ${name}, found none`);
      return { dtype: tensor.dtype, at: header.start + tensor.begin, bytes: tensor.end - tensor.begin };
    },
    read(at, target) {
      for (let done = 0; done < target.length; ) {
        const got = readSync(fd, target, done, target.length - done, at + done);
        if (got === 0)
          throw new StageError(
            'STATE_CORRUPT',
            `segment ${path}: expected ${target.length} bytes at ${at}, found ${done}`,
          );
        done += got;
      }
    },
  };
}

/** A whole tensor. */
export function tensorBytes(file: TensorFile, name: string): ArrayBuffer {
  const { at, bytes } = file.part(name);
  const target = new Uint8Array(bytes);
  file.read(at, target);
  return target.buffer;
}
