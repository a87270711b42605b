import type { EncodedLists, ListFormat, RankedList } from '../contracts/sink.js';
import { StageError } from '../errors.js';
import { type Address, Arena } from '../runtime/arena.js';
import { record } from '../runtime/records.js';
import { type Engine, Threads } from '../runtime/threads.js';

/** Lists by item number: list r is the `lengths[r]` items from r·k on. The last `fallbacks[r]` of them are popular ones. */
export interface NumberedLists {
  readonly k: number;
  readonly lengths: Int32Array;
  readonly items: Int32Array;
  readonly scores: Float32Array;
  readonly fallbacks?: Int32Array | undefined;
}

/** Writes lists of known items in one format. */
export interface Encoder {
  readonly engine: Engine;
  readonly format: ListFormat;
  /** The kernel's `Form`. */
  readonly form: Address;
}

/** Enough lists to pay for handing out a task, and few enough that the threads end together. */
const listsPerTask = 16;

/** The 16 bytes of a stamped value that hold its hash: first byte, and the byte after the last. */
export const hashRange = ({ encoding }: ListFormat): readonly [number, number] =>
  encoding === 'json' ? [9, 25] : [7, 23];

const hashPlace = '0'.repeat(16);
const [quote, backslash] = [0x22, 0x5c];

/** Texts that all values have in common. The hash is over everything from byte `hashed` of the head on. */
function commonTexts({ encoding, stamped }: ListFormat, version: string) {
  if (encoding === 'json') {
    const stamp = stamped ? `{"hash":"${hashPlace}","version":"${version}",` : '{';
    const [scores, fallback] = ['],"scores":[', ',"fallback":'].map(text => Buffer.from(text));
    return {
      head: Buffer.from(`${stamp}"items":[`),
      hashed: stamp.length,
      scores: scores!,
      fallback: fallback!,
    };
  }
  const [items, scores, fallback] = ['items', 'scores', 'fallback'].map(msgpackText) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const stamp = Buffer.concat([
    Buffer.of(stamped ? 0x84 : 0x82),
    ...(stamped ? ['hash', hashPlace, 'version', version].map(msgpackText) : []),
  ]);
  return { head: Buffer.concat([stamp, items]), hashed: stamp.length, scores, fallback };
}

function msgpackText(value: string): Buffer {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(5);
  if (bytes.length < 32) return Buffer.concat([Buffer.of(0xa0 + bytes.length), bytes]);
  if (bytes.length < 256) return Buffer.concat([Buffer.of(0xd9, bytes.length), bytes]);
  if (bytes.length < 65536) {
    head.writeUInt8(0xda);
    head.writeUInt16BE(bytes.length, 1);
    return Buffer.concat([head.subarray(0, 3), bytes]);
  }
  head.writeUInt8(0xdb);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Writes `"a","b",` to `to`, and the start of each key and the end of the last to `starts`. Returns the end. */
function writeJson(keys: readonly string[], to: Buffer, starts: Int32Array): number {
  const end = to.write(keys.length > 0 ? `${JSON.stringify(keys).slice(1, -1)},` : '');
  let at = 0;
  for (let i = 0; i < keys.length; i++) {
    starts[i] = at++;
    while (to[at] !== quote) at += to[at] === backslash ? 2 : 1;
    at += 2;
  }
  starts[keys.length] = end;
  return end;
}

/** As `writeJson`, in msgpack. */
function writeMsgpack(keys: readonly string[], to: Buffer, starts: Int32Array): number {
  let end = 0;
  for (const [i, key] of keys.entries()) {
    starts[i] = end;
    end += msgpackText(key).copy(to, end);
  }
  starts[keys.length] = end;
  return end;
}

/**
 * Prepares the encoding of lists of the items `keys`, in the arena. JSON: `{"items":["a",…],"scores":[0.25,…]}`, scores
 * with six significant digits. Msgpack: the same map, scores as float32. A list that was filled up with popular items
 * has their number as `fallback` at the end. A stamped value begins with `hash`, 16 hexadecimal digits over everything
 * after `version`, and `version`.
 */
export function createEncoder(
  engine: Engine,
  keys: readonly string[],
  format: ListFormat,
  version: string,
): Encoder {
  const { arena } = engine;
  const { encoding, stamped } = format;
  const starts = arena.i32(arena.bytes(4 * (keys.length + 1), 'item keys'), keys.length + 1);
  // A UTF-16 unit takes at most 6 bytes, escaped. The rest of this upper bound is released below.
  const most = keys.reduce((bytes, key) => bytes + 6 * key.length + 5, 8);
  const place = arena.bytes(most, 'item keys');
  const room = arena.u8(place, most);
  const fragments = Buffer.from(room.buffer, place, most);
  const end =
    encoding === 'json' ? writeJson(keys, fragments, starts) : writeMsgpack(keys, fragments, starts);
  arena.release(place);
  arena.bytes(end + 8, 'item keys');
  const { head, hashed, scores, fallback } = commonTexts(format, version);
  const text = (bytes: Buffer) =>
    record(arena, 'Text', { bytes: arena.copyBytes(bytes, 'item keys'), length: bytes.length }, 'item keys');
  const form = record(
    arena,
    'Form',
    {
      msgpack: encoding === 'msgpack' ? 1 : 0,
      starts: starts.byteOffset,
      fragments: place,
      head: text(head),
      scores: text(scores),
      fallback: text(fallback),
      hash: stamped ? hashRange(format)[0] : 0,
      hashed,
    },
    'item keys',
  );
  return { engine, format, form };
}

/**
 * Encodes lists into kernel memory, which `place` allocates.
 *
 * @throws StageError `DATA_INVALID` for a score that is not finite.
 */
export function encodeLists(
  { engine: { arena, threads }, form }: Encoder,
  { k, lengths, items, scores, fallbacks }: NumberedLists,
  place: (bytes: number) => Address,
): Omit<EncodedLists, 'ids'> {
  const m = lengths.length;
  const lists = record(
    arena,
    'Lists',
    {
      k,
      lengths: arena.copy(lengths, 'lists'),
      items: arena.copy(items, 'lists'),
      scores: arena.copy(scores, 'lists'),
      fallbacks: arena.copy(fallbacks, 'lists'),
    },
    'lists',
  );
  const places = arena.i32(arena.bytes(4 * (m + 1), 'encoded lists'), m + 1);
  const ends = arena.i32(arena.bytes(4 * m, 'encoded lists'), m);
  const offsets = arena.i32(arena.bytes(4 * (m + 1), 'encoded lists'), m + 1);
  arena.kernels.encodePlaces(m, lists, form, places.byteOffset);
  const out = place(places[m]!);
  const args = [m, listsPerTask, lists, form, places.byteOffset, out, ends.byteOffset] as const;
  threads.run({ kernel: 'encode', tasks: Math.ceil(m / listsPerTask), args });
  const r = ends.indexOf(-1);
  if (r >= 0) throw infinite(scores.subarray(r * k, r * k + lengths[r]!));
  arena.kernels.encodePack(m, places.byteOffset, ends.byteOffset, out, offsets.byteOffset);
  return { bytes: arena.u8(out, offsets[m]!), offsets: Uint32Array.from(offsets) };
}

function infinite(scores: Float32Array): StageError {
  const found = scores.find(score => !Number.isFinite(score));
  return new StageError('DATA_INVALID', `expected finite scores in every list, found ${found}`);
}

let single: Engine | undefined;

/** Encodes ranked lists by key. Meant for a few lists: each call builds its own table of keys. */
export function encodeRanked(
  lists: readonly RankedList[],
  format: ListFormat,
  version: string,
): EncodedLists {
  const number = new Map<string, number>();
  for (const item of lists.flatMap(list => list.items)) if (!number.has(item)) number.set(item, number.size);
  const k = Math.max(0, ...lists.map(list => list.items.length));
  const items = new Int32Array(k * lists.length);
  const scores = new Float32Array(k * lists.length);
  for (const [r, list] of lists.entries()) {
    for (const [p, item] of list.items.entries()) items[r * k + p] = number.get(item)!;
    scores.set(Array.from(list.scores), r * k);
  }
  const numbered = {
    k,
    lengths: Int32Array.from(lists, list => list.items.length),
    items,
    scores,
    fallbacks: Int32Array.from(lists, list => list.fallback ?? 0),
  };
  if (!single) {
    const arena = new Arena();
    single = { arena, threads: new Threads(arena, 1) };
  }
  const { arena } = single;
  const mark = arena.mark();
  try {
    const encoder = createEncoder(single, [...number.keys()], format, version);
    const { bytes, offsets } = encodeLists(encoder, numbered, room => arena.bytes(room, 'encoded lists'));
    return { ids: lists.map(list => list.id), bytes: bytes.slice(), offsets };
  } finally {
    arena.release(mark);
  }
}

/** The value of list r, without a copy. */
export const storedValue = ({ bytes, offsets }: Omit<EncodedLists, 'ids'>, r: number): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset + offsets[r]!, offsets[r + 1]! - offsets[r]!);
