import type { Address, Arena } from '../runtime/arena.js';
import type { Threads } from '../runtime/threads.js';

/** Bytes of a running checksum: Fletcher's two sums. */
const stateBytes = 16;
/** Bytes that are summed at a time. */
const copyBytes = 1 << 20;

/** A checksum of nothing yet, in the arena. */
export const openChecksum = (arena: Arena): Address => arena.zeros(stateBytes, 'a checksum');

/** The checksum as hexadecimal digits. */
export const checksumOf = (arena: Arena, state: Address): string =>
  Buffer.from(arena.u8(state, stateBytes)).toString('hex');

/** Adds bytes, a multiple of 4 of them, that lie outside of the arena. */
export function addToChecksum(arena: Arena, state: Address, bytes: Uint8Array): void {
  const mark = arena.mark();
  const buffer = arena.bytes(Math.min(copyBytes, bytes.length), 'a checksum');
  for (let at = 0; at < bytes.length; at += copyBytes) {
    const part = bytes.subarray(at, at + copyBytes);
    arena.u8(buffer, part.length).set(part);
    arena.kernels.fletcher(0, 0, buffer, part.length / 4, state);
  }
  arena.release(mark);
}

/**
 * Adds `bytes` that `load` brings into the arena piece by piece, each beside the one before it, which `threads` add up
 * meanwhile, if there are any.
 */
export function addLoaded(
  arena: Arena,
  state: Address,
  bytes: number,
  load: (done: number, bytes: number, to: Address) => void,
  threads?: Threads,
): void {
  const mark = arena.mark();
  const turns = [0, 1].map(() => arena.bytes(Math.min(copyBytes, bytes), 'a checksum'));
  try {
    for (let done = 0, turn = 0; done < bytes; done += copyBytes, turn = 1 - turn) {
      const [part, buffer] = [Math.min(copyBytes, bytes - done), turns[turn]!];
      load(done, part, buffer);
      const args = [buffer, part / 4, state] as const;
      threads?.join();
      if (threads) threads.start({ kernel: 'fletcher', tasks: 1, args });
      else arena.kernels.fletcher(0, 0, ...args);
    }
  } finally {
    threads?.join();
  }
  arena.release(mark);
}
