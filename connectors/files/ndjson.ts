import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListWriter } from './writer.js';

/** Characters gathered before they go to the file. */
const chunkLength = 1 << 20;

/** Writes `users.ndjson` and `items.ndjson`: one `{ "id", "items", "scores" }` a line, in the order given. */
export async function ndjsonWriter(directory: string): Promise<ListWriter> {
  const files = {
    users: await open(join(directory, 'users.ndjson'), 'w'),
    items: await open(join(directory, 'items.ndjson'), 'w'),
  };
  const each = [files.users, files.items];
  return {
    async write(kind, lists) {
      let chunk = '';
      for (const { id, items, scores } of lists) {
        chunk += `${JSON.stringify({ id, items, scores: Array.from(scores) })}\n`;
        if (chunk.length < chunkLength) continue;
        await files[kind].writeFile(chunk);
        chunk = '';
      }
      await files[kind].writeFile(chunk);
    },
    async finish() {
      for (const file of each) {
        await file.sync();
        await file.close();
      }
    },
    async abandon() {
      for (const file of each) await file.close();
    },
  };
}
