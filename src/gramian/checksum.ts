import type { Address, Arena } from '../runtime/arena.js';

/** Bytes of a running checksum: Fletcher's two sums. */
const stateBytes = 16;
/** Bytes that are summed at a time. */
const copyBytes = 1 << 22;

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
    arena.kernels.fletcher(buffer, part.length / 4, state);
  }
  arena.release(mark);
}

/** Adds the `bytes` from `at` on that `load` brings into the arena piece by piece. */
export function addLoaded(
  arena: Arena,
  state: Address,
  bytes: number,
  load: (done: number, bytes: number, to: Address) => void,
): void {
  const mark = arena.mark();
  const buffer = arena.bytes(Math.min(copyBytes, bytes), 'a checksum');
  for (let done = 0; done < bytes; done += copyBytes) {
    const part = Math.min(copyBytes, bytes - done);
    load(done, part, buffer);
    arena.kernels.fletcher(buffer, part / 4, state);
  }
  arena.release(mark);
}
