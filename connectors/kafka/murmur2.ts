/** Multiplier and shift of MurmurHash2. */
const [m, r] = [0x5bd1e995, 24];

/** MurmurHash2 (32 bits) with the seed of Kafka's Java client, as an int32. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes;
  let h = 0x9747b28c ^ length;
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    k = Math.imul(k, m);
    k = Math.imul(k ^ (k >>> r), m);
    h = Math.imul(h, m) ^ k;
  }
  if (at < length) {
    for (let b = length - 1; b >= at; b--) h ^= bytes[b]! << (8 * (b - at));
    h = Math.imul(h, m);
  }
  h = Math.imul(h ^ (h >>> 13), m);
  return h ^ (h >>> 15);
}

/** The partition that Kafka's Java client puts a key into. */
export const partitionOf = (key: Uint8Array, partitions: number): number =>
  (murmur2(key) & 0x7fffffff) % partitions;
