import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineParts } from './parts.js';

/** What the state knows of a directory with files of its own, and the shapes of their names. */
export interface Register {
  readonly directory: string;
  /** Names of files that are whole, and of those that are being written. */
  readonly whole: RegExp;
  readonly unfinished: RegExp;
  /** Names that the state has now, and names that it had once. */
  readonly registered: ReadonlySet<string>;
  readonly retired: ReadonlySet<string>;
}

/**
 * Removes unfinished files, and files that the state has let go of. Moves a whole one that the state does not know to
 * `aside`: a crash before its registration left it, or the database is older than the file, because it was cut short or
 * restored. Leaves alone what is not of our shape. Returns the names that were moved.
 */
function tidy({ directory, whole, unfinished, registered, retired }: Register, aside: string): string[] {
  const moved: string[] = [];
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    const ours = whole.test(name);
    if (unfinished.test(name) || (ours && retired.has(name) && !registered.has(name))) {
      rmSync(join(directory, name), { recursive: true, force: true });
    } else if (ours && !registered.has(name)) {
      mkdirSync(aside, { recursive: true });
      renameSync(join(directory, name), join(aside, name));
      moved.push(name);
    }
  }
  return moved;
}

/** Tidies the directories of a state, with what it knows of each, and warns of files that were set aside. */
export async function tidyState(
  { directory, store, log }: PipelineParts,
  registers: readonly ((retired: ReadonlySet<string>) => Promise<Register>)[],
): Promise<void> {
  const retired = new Set(await store.retired());
  const aside = join(directory, 'aside');
  const files: string[] = [];
  for (const register of registers) files.push(...tidy(await register(retired), aside));
  if (retired.size > 0) await store.clearRetired();
  if (files.length === 0) return;
  log.warn(
    { files, directory: aside },
    'files that the state does not know were set aside: a crash left them, or the state is older than they are',
  );
}
