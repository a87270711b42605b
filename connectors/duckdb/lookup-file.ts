import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncDirectory } from '../../src/matrix/safetensors-header.js';

/**
 * A file of blocks, each found by its number with two reads: magic, number of blocks and place of the offsets (24
 * bytes), the blocks, and a Float64 offset for the begin of each block and the end of the last. A block that is not
 * empty begins with its checksum.
 */
const magic = 'sansalk1';
const headerBytes = 24;
const bufferBytes = 2 ** 20;

/** FNV-1a. */
function checksum(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (let k = 0; k < bytes.length; k++) h = Math.imul(h ^ bytes[k]!, 0x01000193);
  return h | 0;
}

/** Writes `path`, which appears when it is whole. `blocks` come by ascending number; the others are empty. */
export async function writeLookup(
  path: string,
  count: number,
  blocks: AsyncIterable<readonly [number: number, bytes: Uint8Array]>,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(`${path}.tmp`, 'w');
  try {
    const offsets = new Float64Array(count + 1);
    let buffer = Buffer.alloc(bufferBytes);
    let [used, at, next] = [0, headerBytes, 0];
    const flush = () => {
      writeSync(file, buffer, 0, used, at);
      at += used;
      used = 0;
    };
    for await (const [number, bytes] of blocks) {
      offsets.fill(at + used, next, number + 1);
      next = number + 1;
      if (used + bytes.length + 4 > buffer.length) flush();
      if (bytes.length + 4 > buffer.length) buffer = Buffer.alloc(2 * bytes.length + 4);
      buffer.writeInt32LE(checksum(bytes), used);
      buffer.set(bytes, used + 4);
      used += 4 + bytes.length;
    }
    offsets.fill(at + used, next);
    flush();
    const header = Buffer.alloc(headerBytes);
    header.write(magic, 'latin1');
    header.writeDoubleLE(count, 8);
    header.writeDoubleLE(at, 16);
    writeSync(file, new Uint8Array(offsets.buffer), 0, offsets.byteLength, at);
    writeSync(file, header, 0, headerBytes, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.tmp`, path);
  syncDirectory(dirname(path));
}

function readAt(file: number, at: number, bytes: number): Buffer | undefined {
  const buffer = Buffer.alloc(bytes);
  return readSync(file, buffer, 0, bytes, at) === bytes ? buffer : undefined;
}

/**
 * Reads blocks by number; `undefined` when the file is missing or damaged. The blocks are in the order of `numbers`, a
 * number behind the last block has an empty one.
 */
export function readLookup(path: string, numbers: readonly number[]): Uint8Array[] | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const header = readAt(file, 0, headerBytes);
    if (header?.toString('latin1', 0, 8) !== magic) return undefined;
    const [count, index] = [header.readDoubleLE(8), header.readDoubleLE(16)];
    const blocks: Uint8Array[] = [];
    for (const number of numbers) {
      if (number >= count) {
        blocks.push(new Uint8Array(0));
        continue;
      }
      const range = readAt(file, index + 8 * number, 16);
      if (!range) return undefined;
      const [from, to] = [range.readDoubleLE(0), range.readDoubleLE(8)];
      if (!(from >= headerBytes && from <= to && to <= index)) return undefined;
      const block = readAt(file, from, to - from);
      if (!block) return undefined;
      const bytes = block.subarray(4);
      if (to > from && block.readInt32LE(0) !== checksum(bytes)) return undefined;
      blocks.push(bytes);
    }
    return blocks;
  } finally {
    closeSync(file);
  }
}
