import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The right to write below a directory: a directory with the owner's name in it, renewed by its time. */
export function fileLease(root: string, leaseMs: number) {
  const path = join(root, '.lease');
  const ownerFile = join(path, 'owner');
  const ownerOf = (): Promise<string | undefined> => readFile(ownerFile, 'utf8').catch(() => undefined);

  return {
    /** Takes the lease; returns the owner that has it, if that is another. */
    async take(owner: string): Promise<string | undefined> {
      for (;;) {
        try {
          await mkdir(path);
          break;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        const [found, touched] = [await ownerOf(), await stat(path).catch(() => undefined)];
        if (found === owner) break;
        if (touched && Date.now() - touched.mtimeMs < leaseMs) return found ?? 'that just began';
        // Whoever renames it away has it; the others find none and try again.
        const stale = `${path}-${process.pid}-${Date.now()}`;
        await rename(path, stale).catch(() => undefined);
        await rm(stale, { recursive: true, force: true });
      }
      await writeFile(ownerFile, owner);
      return undefined;
    },

    /** Makes the lease last longer; false when somebody else has it. */
    async renew(owner: string): Promise<boolean> {
      if ((await ownerOf()) !== owner) return false;
      await utimes(path, new Date(), new Date());
      return true;
    },

    /** Gives up the lease, if `owner` has it. */
    async release(owner: string): Promise<void> {
      if ((await ownerOf()) === owner) await rm(path, { recursive: true, force: true });
    },
  };
}
