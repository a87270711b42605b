import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Message } from 'kafkajs';
import type { ModelFiles } from '../../src/contracts/sink.js';
import type { Stamp } from './publication.js';

/** Chunks of the weights and of the item keys: key `version/part`, with `parts` and the checksum of all in the headers. */
export async function* chunksOf(
  files: ModelFiles,
  stamp: Stamp,
  chunkBytes: number,
  weightsChecksum: string,
): AsyncGenerator<Message> {
  const file = await open(files.weightsPath, 'r');
  try {
    const { size } = await file.stat();
    const parts = Math.max(1, Math.ceil(size / chunkBytes));
    for (let part = 0; part < parts; part++) {
      const value = Buffer.alloc(Math.min(chunkBytes, size - part * chunkBytes));
      await file.read(value, 0, value.length, part * chunkBytes);
      yield chunk(stamp, String(part), value, parts, weightsChecksum);
    }
  } finally {
    await file.close();
  }
  const items = Buffer.from(JSON.stringify(files.items));
  const checksum = createHash('sha256').update(items).digest('hex');
  const parts = Math.ceil(items.length / chunkBytes);
  for (let part = 0; part < parts; part++)
    yield chunk(
      stamp,
      `items-${part}`,
      items.subarray(part * chunkBytes, (part + 1) * chunkBytes),
      parts,
      checksum,
    );
}

function chunk({ version }: Stamp, part: string, value: Buffer, parts: number, checksum: string): Message {
  const headers = {
    'model-version': version,
    parts: String(parts),
    checksum,
  };
  return { key: `${version}/${part}`, value, headers };
}
