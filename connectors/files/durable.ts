import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Fsyncs a file or a directory. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Renames, then fsyncs the directory of the new name, which afterwards survives a crash. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncPath(dirname(to));
}

/** Replaces the content of `name` in `directory`; a reader sees the old text or the new, never a part. */
export async function replaceText(directory: string, name: string, text: string): Promise<void> {
  for (;;) {
    const temporary = join(directory, `.${name}-${randomUUID()}`);
    try {
      await writeFile(temporary, text, { flush: true });
      return await renameDurably(temporary, join(directory, name));
    } catch (error) {
      await rm(temporary, { force: true });
      // Whoever has the lease may have taken it for one that a crash left.
      const taken = (error as NodeJS.ErrnoException).code === 'ENOENT' && existsSync(directory);
      if (!taken) throw error;
    }
  }
}
