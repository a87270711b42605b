/** 64 bits over `bytes[from … to)` as 16 hexadecimal digits: two FNV-1a sums that differ in basis and prime. */
export function contentHash(bytes: Uint8Array, from: number, to: number): string {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let at = from; at < to; at++) {
    a = Math.imul(a ^ bytes[at]!, 0x01000193);
    b = Math.imul(b ^ bytes[at]!, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return hex(a) + hex(b);
}

const hex = (x: number): string => (x >>> 0).toString(16).padStart(8, '0');

/** 53 bits of a text, for sets of many that need not keep them. */
export function textHash(value: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let c = 0; c < value.length; c++) {
    const unit = value.charCodeAt(c);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff);
}
