import type { Address, Arena } from './arena.js';

/** Bytes of allocations that are made together, by name. Stated once, they are allocated and counted from the same value. */
export type Parts = Readonly<Record<string, number>>;

/** Allocates every part. */
export const allocate = <P extends Parts>(
  arena: Arena,
  parts: P,
  what: string,
): { readonly [K in keyof P]: Address } =>
  Object.fromEntries(Object.entries(parts).map(([name, bytes]) => [name, arena.bytes(bytes, what)])) as {
    readonly [K in keyof P]: Address;
  };

/** Bytes of all parts, before each is rounded up to whole cache lines. */
export const bytesOf = (parts: Parts): number => Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
