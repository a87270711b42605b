import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoredPublication } from '../../src/publish/sink-steps.js';
import { failpoint } from '../../src/runtime/failpoint.js';
import { renameDurably, replaceText, syncPath } from './durable.js';

/** Directory within a version in which files wait to take the place of others. */
const waiting = '.forgetting';
const note = 'manifest.json';

/** Whether a file of a version is one that a crash may have left. */
export const isUnsettled = (name: string): boolean => name === waiting || name.startsWith(`.${note}-`);

/**
 * Replaces files of a version together with its manifest: `make` writes the new files, fsynced, into the directory that
 * it gets, and returns the new manifest. Whatever the moment of a crash, `settle` leads to the old ones or the new ones.
 */
export async function replaceFiles(
  version: string,
  make: (directory: string) => Promise<StoredPublication>,
): Promise<void> {
  const directory = join(version, waiting);
  await mkdir(directory);
  try {
    const manifest = await make(directory);
    await syncPath(version);
    await replaceText(directory, note, `${JSON.stringify(manifest, null, 2)}\n`);
  } catch (error) {
    await rm(directory, { recursive: true });
    throw error;
  }
  failpoint('forget:noted');
  await settle(version);
}

/** Ends a replacement of files that was cut off: goes on with one whose files are all there, and drops any other. */
export async function settle(version: string): Promise<void> {
  const directory = join(version, waiting);
  if (existsSync(join(directory, note))) {
    await replaceText(version, note, await readFile(join(directory, note), 'utf8'));
    for (const name of (await readdir(directory)).filter(file => file !== note))
      await renameDurably(join(directory, name), join(version, name));
    failpoint('forget:placed');
  }
  for (const name of await readdir(version))
    if (isUnsettled(name)) await rm(join(version, name), { recursive: true });
}
