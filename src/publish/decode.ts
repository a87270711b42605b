import type { ListFormat, RankedList } from '../contracts/sink.js';

/** A stored list as `encode.ts` wrote it. */
export interface StoredList extends Omit<RankedList, 'id'> {
  readonly scores: readonly number[];
  readonly hash?: string;
  readonly version?: string;
}

/** Reads a value that `encode.ts` wrote. Throws if it is anything else. */
export function decodeList(bytes: Uint8Array, encoding: ListFormat['encoding']): StoredList {
  const value = encoding === 'json' ? JSON.parse(decoder.decode(bytes)) : readMsgpack(bytes);
  if (!isList(value)) throw new TypeError(`expected a list of items, found a value of ${bytes.length} bytes`);
  return value;
}

const decoder = new TextDecoder();

function isList(value: unknown): value is StoredList {
  return (
    typeof value === 'object' &&
    value !== null &&
    'items' in value &&
    'scores' in value &&
    Array.isArray(value.items) &&
    Array.isArray(value.scores)
  );
}

/** Reads the part of msgpack that lists use: maps, arrays, text, float32 and uint16. */
function readMsgpack(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const unsigned = (width: 1 | 2 | 4): number => {
    at += width;
    if (width === 1) return view.getUint8(at - 1);
    return width === 2 ? view.getUint16(at - 2) : view.getUint32(at - 4);
  };
  const textOf = (length: number): string => {
    at += length;
    return decoder.decode(bytes.subarray(at - length, at));
  };
  const read = (): unknown => {
    const head = unsigned(1);
    if (head >= 0x80 && head < 0x90)
      return Object.fromEntries(Array.from({ length: head - 0x80 }, () => [read() as string, read()]));
    if (head >= 0x90 && head < 0xa0) return Array.from({ length: head - 0x90 }, read);
    if (head >= 0xa0 && head < 0xc0) return textOf(head - 0xa0);
    if (head === 0xd9) return textOf(unsigned(1));
    if (head === 0xda) return textOf(unsigned(2));
    if (head === 0xdb) return textOf(unsigned(4));
    if (head === 0xdc) return Array.from({ length: unsigned(2) }, read);
    if (head === 0xcd) return unsigned(2);
    if (head !== 0xca) throw new TypeError(`expected a list in msgpack, found byte ${head} at ${at - 1}`);
    at += 4;
    return view.getFloat32(at - 4);
  };
  return read();
}
