import { StageError } from '../errors.js';
import type { EncodedLists, ListFormat, RankedList } from '../sink.js';
import { contentHash } from './content-hash.js';
import { digitsOf } from './digits.js';

/** Items by number as they stand in a value: item i is `bytes[offsets[i] … offsets[i + 1])`. */
export interface ItemFragments {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
}

/** Lists by item number: list r has `lengths[r]` items from r·k on, the last `fallbacks[r]` of them popular ones. */
export interface NumberedLists {
  readonly k: number;
  readonly lengths: Int32Array;
  readonly items: Int32Array;
  readonly scores: Float32Array | Float64Array;
  readonly fallbacks?: Int32Array | undefined;
}

const text = new TextEncoder();
/** Room for a number and a comma. */
const numberBytes = 26;

/** The fragments of `keys` in an encoding. */
export function itemFragments(keys: readonly string[], encoding: ListFormat['encoding']): ItemFragments {
  const offsets = new Uint32Array(keys.length + 1);
  const sink = new ByteSink(16 * keys.length);
  for (let i = 0; i < keys.length; i++) {
    if (encoding === 'json') sink.utf8(JSON.stringify(keys[i]));
    else sink.msgpackText(keys[i]!);
    offsets[i + 1] = sink.length;
  }
  return { bytes: sink.bytes.slice(0, sink.length), offsets };
}

/**
 * Encodes lists. JSON: `{"items":["a",…],"scores":[0.25,…]}`, scores with six significant digits. Msgpack: the same
 * map, scores as float32. `fallback` follows where some items are. Stamped values begin with `hash`, 16 hexadecimal
 * digits over everything behind `version`, and `version`. The bytes are those of `sink`, until it is used again.
 */
export function encodeLists(
  lists: NumberedLists,
  fragments: ItemFragments,
  format: ListFormat,
  version: string,
  sink = new ByteSink(lists.lengths.length * (64 + lists.k * 20)),
): Omit<EncodedLists, 'ids'> {
  const { lengths } = lists;
  sink.length = 0;
  const offsets = new Uint32Array(lengths.length + 1);
  const encodeOne = format.encoding === 'json' ? jsonList : msgpackList;
  for (let r = 0; r < lengths.length; r++) {
    encodeOne(sink, lists, r, fragments, format.stamped ? version : undefined);
    offsets[r + 1] = sink.length;
  }
  return { bytes: sink.bytes.subarray(0, sink.length), offsets };
}

/** Encodes ranked lists by key; for few of them. */
export function encodeRanked(
  lists: readonly RankedList[],
  format: ListFormat,
  version: string,
): EncodedLists {
  const keys = [...new Set(lists.flatMap(list => list.items))];
  const number = new Map(keys.map((key, i) => [key, i]));
  const k = Math.max(0, ...lists.map(list => list.items.length));
  const items = new Int32Array(k * lists.length);
  const scores = new Float64Array(k * lists.length);
  lists.forEach((list, r) => {
    items.set(
      list.items.map(item => number.get(item)!),
      r * k,
    );
    scores.set(Array.from(list.scores), r * k);
  });
  const numbered = {
    k,
    lengths: Int32Array.from(lists, list => list.items.length),
    items,
    scores,
    fallbacks: Int32Array.from(lists, list => list.fallback ?? 0),
  };
  const encoded = encodeLists(numbered, itemFragments(keys, format.encoding), format, version);
  return { ids: lists.map(list => list.id), ...encoded };
}

/** The value of list r, without a copy. */
export const storedValue = ({ bytes, offsets }: Omit<EncodedLists, 'ids'>, r: number): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset + offsets[r]!, offsets[r + 1]! - offsets[r]!);

/** Where the hash of a stamped value stands: from the first to behind the last of its 16 bytes. */
export const hashRange = ({ encoding }: ListFormat): readonly [number, number] =>
  encoding === 'json' ? [9, 25] : [7, 23];

type EncodeOne = (
  sink: ByteSink,
  lists: NumberedLists,
  r: number,
  fragments: ItemFragments,
  version: string | undefined,
) => void;

const jsonList: EncodeOne = (sink, { k, lengths, items, scores, fallbacks }, r, fragments, version) => {
  let hash = 0;
  if (version !== undefined) {
    sink.ascii('{"hash":"');
    hash = sink.length;
    sink.ascii(`0000000000000000","version":"${version}",`);
  } else sink.ascii('{');
  const body = sink.length;
  const [from, to] = [r * k, r * k + lengths[r]!];
  sink.ascii('"items":[');
  sink.fragments(fragments, items, from, to, 0x2c);
  sink.ascii('],"scores":[');
  sink.numbers(scores, from, to, 0x2c);
  sink.ascii(']');
  if (fallbacks?.[r]) sink.ascii(`,"fallback":${fallbacks[r]}`);
  sink.ascii('}');
  if (version !== undefined) sink.stamp(hash, body);
};

const msgpackList: EncodeOne = (sink, { k, lengths, items, scores, fallbacks }, r, fragments, version) => {
  const stamped = version !== undefined;
  let hash = 0;
  sink.byte(0x82 + (stamped ? 2 : 0) + (fallbacks?.[r] ? 1 : 0));
  if (stamped) {
    sink.msgpackText('hash');
    hash = sink.length + 1;
    sink.msgpackText('0000000000000000');
    sink.msgpackText('version');
    sink.msgpackText(version);
  }
  const body = sink.length;
  const [from, to] = [r * k, r * k + lengths[r]!];
  sink.msgpackText('items');
  sink.msgpackArray(to - from);
  sink.fragments(fragments, items, from, to);
  sink.msgpackText('scores');
  sink.msgpackArray(to - from);
  for (let e = from; e < to; e++) sink.float32(scores[e]!);
  if (fallbacks?.[r]) {
    sink.msgpackText('fallback');
    sink.uint16(fallbacks[r]!);
  }
  if (stamped) sink.stamp(hash, body);
};

function assertFinite(score: number): void {
  if (Number.isFinite(score)) return;
  throw new StageError('DATA_INVALID', `expected finite scores in every list, found ${score}`);
}

/** Bytes that grow as they are written, in shared memory: another thread reads them without a copy. */
export class ByteSink {
  bytes: Uint8Array;
  length = 0;
  #view: DataView;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(new SharedArrayBuffer(Math.max(64, capacity)));
    this.#view = new DataView(this.bytes.buffer);
  }

  #room(bytes: number): void {
    if (this.length + bytes <= this.bytes.length) return;
    const size = Math.max(Math.ceil(1.5 * this.bytes.length), this.length + bytes);
    const larger = new Uint8Array(new SharedArrayBuffer(size));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  byte(value: number): void {
    this.#room(1);
    this.bytes[this.length++] = value;
  }

  ascii(value: string): void {
    this.#room(value.length);
    for (let c = 0; c < value.length; c++) this.bytes[this.length++] = value.charCodeAt(c);
  }

  utf8(value: string): void {
    this.#room(3 * value.length);
    this.length += text.encodeInto(value, this.bytes.subarray(this.length)).written;
  }

  /** The fragments of items[from … to), with `separator` between them. */
  fragments(fragments: ItemFragments, items: Int32Array, from: number, to: number, separator = -1): void {
    const { bytes, offsets } = fragments;
    let room = to - from;
    for (let e = from; e < to; e++) room += offsets[items[e]! + 1]! - offsets[items[e]!]!;
    this.#room(room);
    const out = this.bytes;
    let at = this.length;
    for (let e = from; e < to; e++) {
      if (e > from && separator >= 0) out[at++] = separator;
      const i = items[e]!;
      // Keys are short: a loop beats a call.
      for (let b = offsets[i]!, end = offsets[i + 1]!; b < end; b++) out[at++] = bytes[b]!;
    }
    this.length = at;
  }

  /** values[from … to) as text, with `separator` between them. */
  numbers(values: ArrayLike<number>, from: number, to: number, separator: number): void {
    this.#room((to - from) * numberBytes);
    const out = this.bytes;
    let at = this.length;
    for (let e = from; e < to; e++) {
      if (e > from) out[at++] = separator;
      assertFinite(values[e]!);
      at = digitsOf(values[e]!, out, at);
    }
    this.length = at;
  }

  msgpackText(value: string): void {
    const bytes = text.encode(value);
    this.#room(5 + bytes.length);
    if (bytes.length < 32) this.byte(0xa0 + bytes.length);
    else if (bytes.length < 256) {
      this.byte(0xd9);
      this.byte(bytes.length);
    } else if (bytes.length < 65536) this.uint16(bytes.length, 0xda);
    else {
      this.byte(0xdb);
      this.#view.setUint32(this.length, bytes.length);
      this.length += 4;
    }
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  msgpackArray(length: number): void {
    if (length < 16) this.byte(0x90 + length);
    else this.uint16(length, 0xdc);
  }

  uint16(value: number, head = 0xcd): void {
    this.#room(3);
    this.bytes[this.length] = head;
    this.#view.setUint16(this.length + 1, value);
    this.length += 3;
  }

  float32(value: number): void {
    assertFinite(value);
    this.#room(5);
    this.bytes[this.length] = 0xca;
    this.#view.setFloat32(this.length + 1, value);
    this.length += 5;
  }

  /** Writes the hash of everything from `body` on to `at`. */
  stamp(at: number, body: number): void {
    const hash = contentHash(this.bytes, body, this.length);
    for (let c = 0; c < hash.length; c++) this.bytes[at + c] = hash.charCodeAt(c);
  }
}
