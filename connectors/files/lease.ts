import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasDied, mayFollow } from '../../src/publish/lease.js';

/** The right to write below a directory: a directory with the holder's text in it, renewed by its time. */
export function fileLease(root: string, leaseMs: number) {
  const path = join(root, '.lease');
  const holderFile = join(path, 'owner');
  const holder = (): Promise<string | undefined> => readFile(holderFile, 'utf8').catch(() => undefined);
  const runs = async (at = path): Promise<boolean> => {
    const touched = await stat(at).catch(() => undefined);
    return touched !== undefined && Date.now() - touched.mtimeMs < leaseMs;
  };

  /** Puts a lease there unless there is one: it comes with its holder in it, so that it is never nobody's. */
  const put = async (by: string): Promise<boolean> => {
    const made = `${path}-${randomUUID()}`;
    await mkdir(made);
    try {
      await writeFile(join(made, 'owner'), by);
      await rename(made, path);
      return true;
    } catch (error) {
      await rm(made, { recursive: true, force: true });
      // Without it: whoever has the lease cleared away what crashes have left.
      if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code!)) throw error;
      return false;
    }
  };

  // Whoever renames it away has it; the others find none. One that its holder has just renewed goes back.
  const discard = async ({ running = false } = {}): Promise<void> => {
    const stale = `${path}-${randomUUID()}`;
    await rename(path, stale).catch(() => undefined);
    if (!running && (await runs(stale))) await rename(stale, path).catch(() => undefined);
    await rm(stale, { recursive: true, force: true });
  };

  /** Gives up the lease, if `by` has it. */
  const release = async (by: string): Promise<void> => {
    if ((await holder()) === by) await rm(path, { recursive: true, force: true });
  };

  return {
    /** Removes the lease of a process of `owner` that has died. */
    async tidy(owner?: string): Promise<void> {
      const found = await holder();
      if (found !== undefined && hasDied(found, owner)) await discard({ running: true });
    },

    /** Runs `body` with the lease, if nobody has it. */
    async ifFree(by: string, body: () => Promise<void>): Promise<void> {
      if (await runs()) return;
      if (existsSync(path)) await discard();
      if (!(await put(by))) return;
      try {
        await body();
      } finally {
        await release(by);
      }
    },

    /** Takes the lease; returns the holder that has it, if that is another. */
    async take(by: string): Promise<string | undefined> {
      for (;;) {
        if (await put(by)) return undefined;
        const found = await holder();
        const running = await runs();
        if (running) {
          // It was given up a moment ago.
          if (found === undefined) continue;
          if (!mayFollow(found, by)) return found;
        }
        await discard({ running });
      }
    },

    /** Makes the lease last longer; false once somebody else has taken it: one that has run out is still its holder's own. */
    async renew(by: string): Promise<boolean> {
      if ((await holder()) !== by) return false;
      await utimes(path, new Date(), new Date()).catch(() => undefined);
      return (await holder()) === by;
    },

    release,
  };
}
