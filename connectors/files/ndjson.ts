import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ErasedIds } from '../../src/contracts/erasure.js';
import type { ListKind, RankedList } from '../../src/contracts/index.js';
import { withoutItems } from '../../src/publish/without-items.js';
import type { ListWriter } from './writer.js';

/** Characters gathered before they go to the file. */
const chunkLength = 1 << 20;

/**
 * Writes `users.ndjson` and `items.ndjson`: one `{ "id", "items", "scores" }` a line, in the order given, with
 * `"fallback"` where the last items fill up the list.
 */
export async function ndjsonWriter(directory: string): Promise<ListWriter> {
  const files = {
    users: await open(join(directory, 'users.ndjson'), 'w'),
    items: await open(join(directory, 'items.ndjson'), 'w'),
  };
  const each = [files.users, files.items];
  return {
    async write(kind, lists) {
      let chunk = '';
      for (const { id, items, scores, fallback } of lists) {
        chunk += lineOf({ id, items, scores: Array.from(scores), ...(fallback ? { fallback } : {}) });
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

/** A value as a line. The line separators of Unicode, which some readers take for ends of lines, are escaped. */
const lineOf = (value: object): string =>
  `${JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}\n`;

/** The lines of a file, without their ends. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  for await (const text of createReadStream(path, 'utf8') as AsyncIterable<string>) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
}

/** The lists in a file that `ndjsonWriter` wrote: its lines. */
export async function countLines(path: string): Promise<number> {
  let lines = 0;
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>)
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
  return lines;
}

/** Copies a file of lists without the lists of erased ids and without erased items in others; counts both. */
export async function filterNdjson(path: string, made: string, kind: ListKind, erased: ErasedIds) {
  const [gone, items] = [new Set(erased[kind]), new Set(erased.items)];
  const file = await open(made, 'w');
  const counts = { deleted: 0, rewritten: 0 };
  let chunk = '';
  try {
    for await (const line of linesOf(path)) {
      const list = JSON.parse(line) as RankedList;
      const spared = withoutItems(list, items);
      if (gone.has(list.id)) counts.deleted++;
      else chunk += spared ? lineOf({ id: list.id, ...spared }) : `${line}\n`;
      if (spared && !gone.has(list.id)) counts.rewritten++;
      if (chunk.length < chunkLength) continue;
      await file.writeFile(chunk);
      chunk = '';
    }
    await file.writeFile(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
  return counts;
}
