import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How long a publisher that fell silent keeps others out, in milliseconds. */
const leaseMs = 30_000;

/** The right to write below a directory: a directory with the owner's name in it, renewed by its time. */
export function fileLease(root: string) {
  const path = join(root, '.lease');
  const ownerFile = join(path, 'owner');
  const ownerOf = (): Promise<string | undefined> => readFile(ownerFile, 'utf8').catch(() => undefined);
  let beat: NodeJS.Timeout | undefined;

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
      const renew = () => void utimes(path, new Date(), new Date()).catch(() => undefined);
      clearInterval(beat);
      beat = setInterval(renew, leaseMs / 3).unref();
      return undefined;
    },

    holds: async (owner: string): Promise<boolean> => (await ownerOf()) === owner,

    /** Lets go of the lease, also of one that a process of this owner left when it died. */
    async release(owner: string): Promise<void> {
      clearInterval(beat);
      if ((await ownerOf()) === owner) await rm(path, { recursive: true, force: true });
    },
  };
}
