import { digits, NUMBER } from './digits';
import { F32s, from, I32s, present, U8s } from './views';

/** Lists by item number: list r has `lengths[r]` items from r·k on, the last `fallbacks[r]` of them popular ones. */
@unmanaged
export class Lists {
  k: i32;
  lengths: I32s;
  items: I32s;
  scores: F32s;
  fallbacks: I32s; // may be absent
}

/** A text that values have in common. */
@unmanaged
export class Text {
  bytes: U8s;
  length: i32;
}

/** Form of a written list: head, items, scores, and the number of fallbacks where there are some. */
@unmanaged
export class Form {
  msgpack: i32; // else JSON
  starts: I32s; // item i is written as `fragments` from starts[i] to starts[i + 1], in JSON with a comma behind
  fragments: U8s;
  head: Text; // up to the items
  scores: Text; // between items and scores
  fallback: Text; // before how many are
  hash: i32; // where in the head the hash of what is behind `hashed` stands; 0 for none
  hashed: i32;
}

const HASH: i32 = 16;

/** Where each of m lists has room in one piece of memory: from places[r] to places[r + 1]. */
export function encodePlaces(m: i32, lists: Lists, form: Form, places: I32s): void {
  const starts = form.starts;
  const common = form.head.length + form.scores.length + form.fallback.length + 32;
  places[0] = 0;
  for (let r = 0; r < m; r++) {
    const items = from(lists.items, r * lists.k), length = lists.lengths[r];
    let bytes = common + length * (NUMBER + 2);
    for (let p = 0; p < length; p++) bytes += starts[items[p] + 1] - starts[items[p]];
    places[r + 1] = places[r] + bytes;
  }
}

/**
 * Writes m lists, `each` of them a task, from their `places` in `out` on, and where they end to `ends`: −1 for one with a
 * score that is not finite.
 */
export function encode(
  task: i32, scratch: usize, m: i32, each: i32, lists: Lists, form: Form, places: I32s, out: U8s, ends: I32s,
): void {
  const start = changetype<usize>(out);
  for (let r = task * each, hi = min(m, r + each); r < hi; r++) {
    const items = from(lists.items, r * lists.k), scores = from(lists.scores, r * lists.k);
    const length = lists.lengths[r], fallback = present(lists.fallbacks) ? lists.fallbacks[r] : 0;
    if (!areFinite(scores, length)) {
      ends[r] = -1;
      continue;
    }
    const place = start + places[r];
    let at = text(form.head, place);
    at = form.msgpack
      ? msgpack(form, items, scores, length, fallback, place, at)
      : json(form, items, scores, length, fallback, at);
    if (form.hash > 0) stamp(place + form.hash, place + form.hashed, at);
    ends[r] = <i32>(at - start);
  }
}

/** Moves m encoded lists together, and writes to `offsets` where each begins and the last ends. */
export function encodePack(m: i32, places: I32s, ends: I32s, out: U8s, offsets: I32s): void {
  const start = changetype<usize>(out);
  offsets[0] = 0;
  for (let r = 0; r < m; r++) {
    const bytes = ends[r] - places[r];
    memory.copy(start + offsets[r], start + places[r], bytes);
    offsets[r + 1] = offsets[r] + bytes;
  }
}

@inline
function areFinite(x: F32s, length: i32): bool {
  for (let p = 0; p < length; p++) if (!isFinite(x[p])) return false;
  return true;
}

@inline
function text(t: Text, at: usize): usize {
  memory.copy(at, changetype<usize>(t.bytes), t.length);
  return at + t.length;
}

// Ids are short: eight bytes at a time, what is too much is written over.
@inline
function fragment(form: Form, i: i32, at: usize): usize {
  const length = form.starts[i + 1] - form.starts[i];
  const bytes = changetype<usize>(form.fragments) + form.starts[i];
  for (let b = 0; b < length; b += 8) store<u64>(at + b, load<u64>(bytes + b));
  return at + length;
}

// {…"items":["a",…],"scores":[0.25,…],"fallback":1}
@inline
function json(form: Form, items: I32s, scores: F32s, length: i32, fallback: i32, at: usize): usize {
  for (let p = 0; p < length; p++) at = fragment(form, items[p], at);
  if (length > 0) at--;
  at = text(form.scores, at);
  for (let p = 0; p < length; p++) {
    if (p > 0) store<u8>(at++, 0x2c);
    at = digits(<f64>scores[p], at);
  }
  store<u8>(at++, 0x5d);
  if (fallback > 0) at = digits(<f64>fallback, text(form.fallback, at));
  store<u8>(at, 0x7d);
  return at + 1;
}

@inline
function msgpackArray(length: i32, at: usize): usize {
  if (length < 16) {
    store<u8>(at, <u8>(0x90 + length));
    return at + 1;
  }
  store<u8>(at, 0xdc);
  store<u16>(at + 1, bswap<u16>(<u16>length));
  return at + 3;
}

// A map whose first byte counts what is in it.
@inline
function msgpack(form: Form, items: I32s, scores: F32s, length: i32, fallback: i32, place: usize, at: usize): usize {
  at = msgpackArray(length, at);
  for (let p = 0; p < length; p++) at = fragment(form, items[p], at);
  at = msgpackArray(length, text(form.scores, at));
  for (let p = 0; p < length; p++, at += 5) {
    store<u8>(at, 0xca);
    store<u32>(at + 1, bswap<u32>(reinterpret<u32>(scores[p])));
  }
  if (fallback == 0) return at;
  store<u8>(place, load<u8>(place) + 1);
  at = text(form.fallback, at);
  store<u8>(at, 0xcd);
  store<u16>(at + 1, bswap<u16>(<u16>fallback));
  return at + 3;
}

// 64 bits over the bytes from `lo` to `hi` as hexadecimal digits: two FNV-1a sums that differ in basis and prime.
@inline
function stamp(at: usize, lo: usize, hi: usize): void {
  let a: u32 = 0x811c9dc5;
  let b: u32 = 0x9747b28c;
  for (; lo < hi; lo++) {
    const byte = <u32>load<u8>(lo);
    a = (a ^ byte) * 0x01000193;
    b = (b ^ byte) * 0x5bd1e995;
    b ^= b >> 15;
  }
  let hash = (<u64>a << 32) | b;
  for (let c = HASH - 1; c >= 0; c--, hash >>= 4) {
    const digit = <u8>(hash & 15);
    store<u8>(at + c, digit + (digit < 10 ? 0x30 : 0x57));
  }
}
