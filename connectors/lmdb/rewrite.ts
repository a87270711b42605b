import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { asBinary, open, type RootDatabase } from 'lmdb';
import { fileOf } from './sound.js';

/** Entries that one transaction copies. */
const batch = 10_000;

/** Copies all entries of an environment, by key, into a new file, closes it, and has the file take its place. */
export async function rewriteEnvironment<V>(db: RootDatabase<V, Uint8Array>, path: string): Promise<void> {
  const file = fileOf(path);
  const made = join(dirname(file), `.forgetting-${basename(file)}`);
  const remove = () => {
    for (const name of [made, `${made}-lock`]) rmSync(name, { force: true });
  };
  remove();
  try {
    const copy = open<Buffer, Uint8Array>(made, { encoding: 'binary', keyEncoding: 'binary' });
    for (let start: Buffer | undefined; ; ) {
      const keys = [...db.getKeys({ ...(start && { start }), limit: batch })].map(key => Buffer.from(key));
      if (keys.length === 0) break;
      await copy.transaction(() => {
        for (const key of keys) copy.putSync(key, asBinary(Buffer.from(db.getBinary(key)!)) as never);
      });
      start = Buffer.concat([keys.at(-1)!, Buffer.of(0)]);
    }
    await copy.flushed;
    await copy.close();
    const fd = openSync(made, 'r');
    fsyncSync(fd);
    closeSync(fd);
    await db.close();
    renameSync(made, file);
  } finally {
    remove();
  }
}
