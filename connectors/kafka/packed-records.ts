import type { Message } from 'kafkajs';
import { partitionOf } from './murmur2.js';

/** A record whose key is an id. A value of null is a tombstone. */
export interface KeyedRecord {
  readonly id: Buffer;
  readonly value: Buffer | null;
}

/** Most bytes that a variable-length integer of 32 bits takes, and how many of them a record has beside its header. */
const [varintBytes, varints] = [5, 4];
/** A record's attributes and the distance of its time from the batch's: all are of one time. */
const fixedBytes = 2;
const none = Buffer.alloc(0);

const sizeOfVarint = (n: number): number => {
  let rest = ((n << 1) ^ (n >> 31)) >>> 0;
  let size = 1;
  for (; rest > 0x7f; size++) rest >>>= 7;
  return size;
};

/** Writes `n` (zigzag, seven bits a byte, the lowest first); returns the place behind it. */
function writeVarint(into: Buffer, at: number, n: number): number {
  let rest = ((n << 1) ^ (n >> 31)) >>> 0;
  for (; rest > 0x7f; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
  into[at++] = rest;
  return at;
}

/** The one header of all records: their number, and the name and the value behind their lengths. */
function encodeHeader(name: string, value: string): Buffer {
  const parts = [Buffer.from(name), Buffer.from(value)];
  const into = Buffer.alloc(varintBytes * 3 + parts[0]!.length + parts[1]!.length);
  let at = writeVarint(into, 0, 1);
  for (const part of parts) {
    at = writeVarint(into, at, part.length);
    at += part.copy(into, at);
  }
  return into.subarray(0, at);
}

/** Records as they stand in a batch (format v2): `length attributes time offset key value headers`. */
function encode(records: readonly KeyedRecord[], header: Buffer): Buffer {
  let most = 0;
  for (const { id, value } of records) most += id.length + (value?.length ?? 0);
  const into = Buffer.allocUnsafe(
    most + records.length * (varintBytes * varints + fixedBytes + header.length),
  );
  let at = 0;
  for (let k = 0; k < records.length; k++) {
    const { id, value } = records[k]!;
    const valueLength = value?.length ?? -1;
    const size =
      fixedBytes +
      sizeOfVarint(k) +
      sizeOfVarint(id.length) +
      id.length +
      sizeOfVarint(valueLength) +
      Math.max(0, valueLength) +
      header.length;
    at = writeVarint(into, at, size);
    into[at++] = 0;
    into[at++] = 0;
    at = writeVarint(into, at, k);
    at = writeVarint(into, at, id.length);
    at += id.copy(into, at);
    at = writeVarint(into, at, valueLength);
    if (value) at += value.copy(into, at);
    at += header.copy(into, at);
  }
  return into.subarray(0, at);
}

/** What kafkajs makes of a message: bytes up to `offset`. */
interface Encoded {
  buf: Buffer;
  offset: number;
}

/**
 * An array that kafkajs takes for the messages of one partition. It asks for the time of each message, of which there
 * is none, and then for each one's encoded form: it gets all of them as the first, and nothing as the others.
 */
function asMessages(records: readonly KeyedRecord[], header: Buffer): Message[] {
  const bytes = encode(records, header);
  const map = (make: (message: Message, k: number) => unknown): unknown[] => {
    const made = make({ key: null, value: null }, 0);
    if (made === undefined) return [];
    const first = made as Encoded;
    if (!Buffer.isBuffer(first.buf) || typeof first.offset !== 'number')
      throw new Error('kafkajs does not encode messages as it used to');
    first.buf = bytes;
    first.offset = bytes.length;
    const all = new Array<unknown>(records.length).fill({ buf: none, buffer: none, offset: 0 });
    all[0] = first;
    return all;
  };
  return Object.defineProperty(new Array<Message>(records.length), 'map', { value: map });
}

/** Records for one request, and how many go to each partition. */
export interface PackedRecords {
  readonly messages: Message[];
  readonly sizes: ReadonlyMap<number, number>;
}

/**
 * Packs records, each with the same header, for one `send` of kafkajs, in the partitions where Kafka's Java client puts
 * their keys. kafkajs by itself groups messages in quadratic time and encodes each into buffers of its own, which takes
 * several times what everything else takes; it still compresses, numbers and sends them, and repeats what failed.
 */
export function packRecords(
  records: readonly KeyedRecord[],
  partitions: number,
  [name, value]: readonly [string, string],
): PackedRecords {
  const groups = new Map<number, KeyedRecord[]>();
  for (const record of records) {
    const partition = partitionOf(record.id, partitions);
    const group = groups.get(partition);
    if (group) group.push(record);
    else groups.set(partition, [record]);
  }
  const header = encodeHeader(name, value);
  const grouped = Object.fromEntries([...groups].map(([p, group]) => [p, asMessages(group, header)]));
  // kafkajs reduces the messages to groups by partition.
  const messages = Object.defineProperty([] as Message[], 'reduce', { value: () => grouped });
  return { messages, sizes: new Map([...groups].map(([p, group]) => [p, group.length])) };
}
