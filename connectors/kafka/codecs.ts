import { AsyncLocalStorage } from 'node:async_hooks';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import { StageError } from '../../src/errors.js';
import { mebibytes } from '../../src/size.js';
import { lz4Bytes, snappyBytes, zstdBytes } from './declared-size.js';

/** What kafkajs hands over to be compressed. */
interface Encoder {
  readonly buffer: Buffer;
}

/** Bytes that the records of one batch may become. Codecs belong to the process; this to who calls them. */
const bound = new AsyncLocalStorage<number>();
const mostBytes = (): number => bound.getStore() ?? 2 ** 26;

/** Refuses batches whose records become larger than `bytes`, before they are opened, for all that `body` begins. */
export const boundBatches = <T>(bytes: number, body: () => T): T => bound.run(Math.floor(bytes), body);

/** Throws for a batch that becomes `bytes` large, if that is too much; returns them. */
function assertBounded(bytes: number, compressed: Buffer): number {
  if (bytes <= mostBytes()) return bytes;
  throw tooLarge(compressed, `${mebibytes(bytes)}`);
}

const tooLarge = ({ length }: Buffer, size: string) =>
  new StageError(
    'MEMORY_BUDGET',
    `a batch of ${mebibytes(length)} of compressed records becomes ${size}, and ${mebibytes(mostBytes())} fit; raise \`memory\`, or have the producer make smaller batches`,
  );

const unzip = promisify(zlib.unzip);
const gzip = {
  compress: ({ buffer }: Encoder): Promise<Buffer> => promisify(zlib.gzip)(buffer),
  async decompress(buffer: Buffer): Promise<Buffer> {
    try {
      return await unzip(buffer, { maxOutputLength: mostBytes() });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error;
      throw tooLarge(buffer, 'larger than that');
    }
  },
};

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
    if (!buffer.subarray(0, xerial.length).equals(xerial)) {
      assertBounded(snappyBytes(buffer), buffer);
      return uncompressSync(buffer) as Buffer;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    for (let at = xerialHeader.length; at < buffer.length; ) {
      const end = at + 4 + buffer.readUInt32BE(at);
      bytes = assertBounded(bytes + snappyBytes(buffer.subarray(at + 4, end)), buffer);
      parts.push(uncompressSync(buffer.subarray(at + 4, end)) as Buffer);
      at = end;
    }
    return Buffer.concat(parts);
  },
};

const lz4 = {
  compress: async ({ buffer }: Encoder): Promise<Buffer> => (await import('lz4-napi')).compressFrame(buffer),
  async decompress(buffer: Buffer): Promise<Buffer> {
    assertBounded(lz4Bytes(buffer), buffer);
    return (await import('lz4-napi')).decompressFrameSync(buffer);
  },
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
    // Java's writer leaves the size out of the frame: its blocks tell it.
    decompress: async buffer =>
      Buffer.from(wasm.decompress(buffer, { defaultHeapSize: Math.max(2 ** 17, zstdBytes(buffer)) })),
  };
}

let zstdOpened: ReturnType<typeof openZstd> | undefined;
const zstd = {
  compress: async ({ buffer }: Encoder): Promise<Buffer> =>
    (await (zstdOpened ??= openZstd())).compress(buffer),
  async decompress(buffer: Buffer): Promise<Buffer> {
    assertBounded(zstdBytes(buffer), buffer);
    return (await (zstdOpened ??= openZstd())).decompress(buffer);
  },
};

/** Teaches kafkajs the codecs that it lacks, and gzip within bounds; their packages are loaded when a batch needs them. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.GZIP] = () => gzip;
  CompressionCodecs[CompressionTypes.Snappy] = () => snappy;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
}
