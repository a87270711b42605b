/**
 * How large compressed records become, told from their frames before they are opened: exactly, or a bound that is off by
 * less than a block. Damaged frames count as far as they can be read; opening them fails.
 */

/** A snappy block begins with its size as a variable-length integer. */
export function snappyBytes(block: Buffer): number {
  let bytes = 0;
  for (let at = 0, factor = 1; at < Math.min(5, block.length); at++, factor *= 128) {
    bytes += (block[at]! & 0x7f) * factor;
    if (block[at]! < 0x80) break;
  }
  return bytes;
}

/** LZ4 frames (format 1.6): blocks behind their lengths, each at most as large as the frame says. */
export function lz4Bytes(frames: Buffer): number {
  let bytes = 0;
  for (let at = 0; at + 7 <= frames.length && frames.readUInt32LE(at) === 0x184d2204; ) {
    const [flags, sizes] = [frames[at + 4]!, frames[at + 5]!];
    const has = (bit: number): number => (flags >> bit) & 1;
    const mostOfBlock = 2 ** (8 + 2 * ((sizes >> 4) & 7));
    at += 7 + 8 * has(3) + 4 * has(0);
    for (;;) {
      if (at + 4 > frames.length) return bytes;
      const length = frames.readUInt32LE(at);
      at += 4;
      if (length === 0) break;
      const stored = length & 0x7fffffff;
      // A byte of LZ4 stands for 255 at most.
      bytes += length >= 0x80000000 ? stored : Math.min(mostOfBlock, 255 * stored);
      at += stored + 4 * has(4);
    }
    at += 4 * has(2);
  }
  return bytes;
}

/** Zstandard frames (RFC 8878): blocks behind headers of three bytes, each of 128 KiB at most. */
export function zstdBytes(frames: Buffer): number {
  let bytes = 0;
  for (let at = 0; at + 5 <= frames.length && frames.readUInt32LE(at) === 0xfd2fb528; ) {
    const flags = frames[at + 4]!;
    const single = (flags >> 5) & 1;
    const sizeBytes = [single, 2, 4, 8][flags >> 6]!;
    at += 5 + (1 - single) + [0, 1, 2, 4][flags & 3]! + sizeBytes;
    for (let last = false; !last; ) {
      if (at + 3 > frames.length) return bytes;
      const header = frames.readUIntLE(at, 3);
      const [type, size] = [(header >> 1) & 3, header >> 3];
      last = (header & 1) === 1;
      bytes += type === 2 ? 2 ** 17 : size;
      at += 3 + (type === 1 ? 1 : size);
    }
    at += 4 * ((flags >> 2) & 1);
  }
  return bytes;
}
