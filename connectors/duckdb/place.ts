import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Gives a whole new file its name, unless another process was quicker: then a link fails, and the file goes. Where there
 * are no links, it is renamed.
 */
export function placeFile(made: string, path: string): void {
  try {
    linkSync(made, path);
  } catch {
    if (!existsSync(path)) renameSync(made, path);
  }
  rmSync(made, { force: true });
}

/** The name of a new file that is to take the place of `path`. */
export const madeFor = (path: string): string => `${path}.${randomUUID()}.new`;

/** Whether `name` is what `madeFor` gives a file `file`, or its log. */
export const isMadeFor = (file: string, name: string): boolean =>
  name.startsWith(file) && /^\.[0-9a-f-]{36}\.new(\.wal)?$/.test(name.slice(file.length));

/** Removes what processes that died have made for `path`, which is there: whoever makes one now has come too late. */
export function removeMade(path: string): void {
  for (const name of readdirSync(dirname(path)))
    if (isMadeFor(basename(path), name)) rmSync(join(dirname(path), name), { force: true });
}
