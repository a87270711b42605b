import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { denied, isDenied, isOfDisk } from '../../src/errors.js';
import type { Access } from '../../src/publish/list-store.js';
import { Refusal } from '../../src/publish/sink-steps.js';

const run = promisify(execFile);
const reader = fileURLToPath(new URL('./sound-reader.js', import.meta.url));

/** How files were when this process last knew them to be sound. */
const known = new Map<string, string>();

/** The file of an environment: inside a directory unless its name has an extension. */
export const fileOf = (path: string): string => (extname(path) === '' ? join(path, 'data.mdb') : path);

function stampOf(file: string): string {
  const { ino, size, mtimeMs } = statSync(file);
  return `${ino} ${size} ${mtimeMs}`;
}

/** Notes that the environment is as this process left it. */
export function noteSound(path: string): void {
  const file = fileOf(path);
  if (existsSync(file)) known.set(file, stampOf(file));
}

/**
 * Throws if an environment is damaged. LMDB maps its file into memory and trusts it, so that a file that is cut short or
 * overwritten ends the process that reads it (SIGBUS, SIGSEGV): a process of its own reads it first. A file that is as
 * this process left it is not read again. To read, its free pages do not matter, and nothing is changed.
 */
export async function assertSound(path: string, access: Access): Promise<void> {
  const file = fileOf(path);
  if (!existsSync(file) || known.get(file) === stampOf(file)) return;
  try {
    await run(process.execPath, [reader, path, access], { maxBuffer: 2 ** 20 });
  } catch (error) {
    const { signal, stderr } = error as { signal?: string | null; stderr?: string };
    const line = stderr?.split('\n').find(text => /^\w*Error: /.test(text));
    if (signal === 'SIGKILL')
      throw new Refusal(`${file} could not be written: ${line ?? 'its reader was killed'}`);
    if (isDenied(line)) throw denied(`${file} could not be opened: ${line}`, error);
    if (isOfDisk(line)) throw new Refusal(`${file} could not be opened: ${line}`);
    const why = line ?? `a process that read it ended by ${signal ?? 'itself'}`;
    throw new Refusal(`${file} is damaged: ${why}. Move it away and publish again.`);
  }
  if (access === 'write') known.set(file, stampOf(file));
}
