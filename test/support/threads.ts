import { afterAll } from 'vitest';
import { Arena } from '#src/runtime/arena.js';
import { Threads } from '#src/runtime/threads.js';

/** An arena of `bytes` with one thread and with three, which end with the tests of the file. */
export function arenaWithThreads(bytes: number) {
  const arena = new Arena(bytes);
  const one = new Threads(arena, 1);
  const three = new Threads(arena, 3);
  afterAll(async () => {
    await Promise.all([one.close(), three.close()]);
  });
  return { arena, one, three };
}
