/** Where a running stage listens for commands. Clients read no more than this, so it loads no package. */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readlinkSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const name = 'control.sock';
/** Bytes of a path that every system takes: `sun_path` has 108 on Linux and 104 elsewhere, with a zero at the end. */
const longestPath = 103;

/** The socket of a state, as clients find it; `undefined` where no stage has listened. */
export function socketOf(directory: string): string | undefined {
  const path = join(directory, name);
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : path;
  } catch {
    return undefined;
  }
}

/**
 * The path to listen on, after what a stage that died has left there is gone. Where the directory's path is too long for
 * a socket, the socket lies in a directory of this user's among the temporary files, and a link leads to it.
 */
export function freeSocket(directory: string): string {
  const path = join(directory, name);
  removeSocket(directory);
  if (Buffer.byteLength(path) <= longestPath) return path;
  const id = createHash('sha256').update(realpathSync(directory)).digest('hex').slice(0, 24);
  const elsewhere = join(privateDirectory(), `${id}.sock`);
  rmSync(elsewhere, { force: true });
  symlinkSync(elsewhere, path);
  return elsewhere;
}

/** Removes the socket of a state, and the link to it. */
export function removeSocket(directory: string): void {
  const path = socketOf(directory);
  if (path !== undefined) rmSync(path, { force: true });
  rmSync(join(directory, name), { force: true });
}

/** A directory that only this user can enter. Somebody else may have made one of this name: then it is refused. */
function privateDirectory(): string {
  const { uid } = userInfo();
  const path = join(tmpdir(), `sansa-stream-${uid}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (found.isDirectory() && (uid === -1 || found.uid === uid) && (found.mode & 0o077) === 0) return path;
  throw new Error(`${path}: expected a directory that only this user can enter`);
}
