/** Batches of every compression: read as they were written, told by their size, and refused when too large. */
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { boundBatches, registerCodecs } from '#connectors/kafka/codecs.js';
import { lz4Bytes, snappyBytes, zstdBytes } from '#connectors/kafka/declared-size.js';
import { seeded } from '../../support/random.js';

registerCodecs();
const { CompressionCodecs, CompressionTypes } = kafkajs;
interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}
const codecOf = (type: number): Codec => (CompressionCodecs as Record<number, () => Codec>)[type]!();
const { GZIP, Snappy, LZ4, ZSTD } = CompressionTypes;
const random = seeded(5);
const mixed = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, k) => (k % 7 === 0 ? 256 * random() : k % 50)));
const limit = 2 ** 22;

describe.each([
  ['gzip', GZIP],
  ['snappy', Snappy],
  ['lz4', LZ4],
  ['zstd', ZSTD],
] as const)('%s', (_, type) => {
  it('reads what was written, up to the bound', async () => {
    for (const length of [0, 1, 1000, 2 ** 20 + 3, limit - 2 ** 17]) {
      const buffer = mixed(length);
      const packed = await codecOf(type).compress({ buffer });
      const back = await boundBatches(limit, () => codecOf(type).decompress(packed));
      expect(back.equals(buffer)).toBe(true);
    }
  });

  it('refuses a small batch that becomes large', async () => {
    const bomb = await codecOf(type).compress({ buffer: Buffer.alloc(2 ** 26, 32) });
    // Each source has a bound of its own.
    const [opened, refused] = await Promise.allSettled([
      boundBatches(2 ** 27, () => codecOf(type).decompress(bomb)),
      boundBatches(limit, () => codecOf(type).decompress(bomb)),
    ]);
    expect(opened).toMatchObject({ status: 'fulfilled', value: { length: 2 ** 26 } });
    expect(refused).toMatchObject({
      status: 'rejected',
      reason: {
        code: 'MEMORY_BUDGET',
        message: expect.stringMatching(
          /^a batch of .* MiB of compressed records becomes .*, and 4\.0 MiB fit;/,
        ),
      },
    });
  });
});

it.each([
  ['snappy', snappyBytes, async (b: Buffer) => (await import('snappy')).compress(b), 0],
  ['lz4', lz4Bytes, async (b: Buffer) => codecOf(LZ4).compress({ buffer: b }), 2 ** 22],
  ['zstd', zstdBytes, async (b: Buffer) => codecOf(ZSTD).compress({ buffer: b }), 2 ** 17],
] as const)('the size of %s is told within a block', async (_, told, compress, block) => {
  for (const buffer of [mixed(1), mixed(3_000_001), Buffer.alloc(20_000_000, 7)]) {
    const bytes = told(await compress(buffer));
    expect(bytes).toBeGreaterThanOrEqual(buffer.length);
    expect(bytes).toBeLessThanOrEqual(buffer.length + block);
  }
});
