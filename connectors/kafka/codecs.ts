import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';

/** What kafkajs hands over to be compressed. */
interface Encoder {
  readonly buffer: Buffer;
}

/** Largest batch of records that a zstd frame of unknown size is given room for. */
const mostBytes = 2 ** 28;

// What Java's SnappyOutputStream writes: a header, then blocks behind their lengths.
const xerial = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const xerialHeader = Buffer.concat([xerial, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])]);

const snappy = {
  async compress({ buffer }: Encoder): Promise<Buffer> {
    const block = await (await import('snappy')).compress(buffer);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return Buffer.concat([xerialHeader, length, block]);
  },
  async decompress(buffer: Buffer): Promise<Buffer> {
    const { uncompressSync } = await import('snappy');
    if (!buffer.subarray(0, xerial.length).equals(xerial)) return uncompressSync(buffer) as Buffer;
    const parts: Buffer[] = [];
    for (let at = xerialHeader.length; at < buffer.length; ) {
      const end = at + 4 + buffer.readUInt32BE(at);
      parts.push(uncompressSync(buffer.subarray(at + 4, end)) as Buffer);
      at = end;
    }
    return Buffer.concat(parts);
  },
};

const lz4 = {
  compress: async ({ buffer }: Encoder): Promise<Buffer> => (await import('lz4-napi')).compressFrame(buffer),
  decompress: async (buffer: Buffer): Promise<Buffer> =>
    (await import('lz4-napi')).decompressFrameSync(buffer),
};

type Convert = (buffer: Buffer) => Promise<Buffer>;

/** zstd of Node where it has it (22.15 and later), else of WebAssembly. */
async function openZstd(): Promise<{ readonly compress: Convert; readonly decompress: Convert }> {
  const native: Readonly<Record<string, unknown>> = { ...zlib };
  if (typeof native.zstdCompress === 'function' && typeof native.zstdDecompress === 'function')
    return {
      compress: promisify(native.zstdCompress as never),
      decompress: promisify(native.zstdDecompress as never),
    };
  const wasm = await import('@bokuweb/zstd-wasm');
  await wasm.init();
  return {
    compress: async buffer => Buffer.from(wasm.compress(buffer)),
    async decompress(buffer) {
      // Java's writer leaves the size out of the frame: room is made until it suffices.
      for (let room = Math.max(2 ** 20, 8 * buffer.length); ; room *= 4) {
        try {
          return Buffer.from(wasm.decompress(buffer, { defaultHeapSize: room }));
        } catch (error) {
          if (room >= mostBytes) throw error;
        }
      }
    },
  };
}

let zstdOpened: ReturnType<typeof openZstd> | undefined;
const zstd = {
  compress: async ({ buffer }: Encoder): Promise<Buffer> =>
    (await (zstdOpened ??= openZstd())).compress(buffer),
  decompress: async (buffer: Buffer): Promise<Buffer> =>
    (await (zstdOpened ??= openZstd())).decompress(buffer),
};

/** Teaches kafkajs the codecs that it lacks; their packages are loaded when a batch needs them. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.Snappy] = () => snappy;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
}
