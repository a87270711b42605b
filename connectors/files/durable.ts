import { randomUUID } from 'node:crypto';
import { open, rename } from 'node:fs/promises';
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

/** Renames within one directory, then fsyncs that directory: afterwards the new name survives a crash. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncPath(dirname(to));
}

/** Replaces the content of `name` in `directory`; a reader sees the old text or the new, never a part. */
export async function replaceText(directory: string, name: string, text: string): Promise<void> {
  const temporary = join(directory, `.${name}-${randomUUID()}`);
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await renameDurably(temporary, join(directory, name));
}
