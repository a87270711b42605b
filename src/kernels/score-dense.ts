import { panelProduct } from './dense-multiply';
import { SIDE, tileBytes } from './dense-tile';
import { Choice, itemOf, keyOf, scoreOf, SPARE } from './score';
import { largestDistinct } from './select';
import { descending } from './sort';
import { Lines } from './sparse';
import { F32s, from, I32s, present, U64s, U8s } from './views';

/** Both layers of a model whose items have all latents, or none. */
@unmanaged
export class DenseLayers {
  encoder: usize; // n rows of 64 `count` float32
  decoder: usize; // the columns as rows: tiles of 64 × 64, `count` of them for 64 items
  count: i32;
  known: U8s; // a byte an item: 1 if its row of the encoder has entries, 2 if its column of the decoder has, 3 both
}

const ENCODED: i32 = 1;
const DECODED: i32 = 2;

/** The lists of 64 users while items go by. */
@unmanaged
class Block {
  y: usize; // latents, 64 rows
  z: usize; // scores of 64 items, 64 rows
  owners: U64s; // by item: bit u where user u of the block has it
  keys: usize; // k + SPARE for each user
  floors: U64s;
  lengths: I32s;
}

const RECORD: usize = 64;

@inline
function blockAt(scratch: usize, n: i32, width: usize, k: i32): Block {
  const b = changetype<Block>(scratch);
  b.z = scratch + RECORD;
  b.y = b.z + tileBytes<f32>();
  b.floors = changetype<U64s>(b.y + <usize>SIDE * width);
  b.lengths = changetype<I32s>(from(b.floors, SIDE));
  b.keys = changetype<usize>(from(b.lengths, SIDE));
  b.owners = changetype<U64s>(b.keys + 8 * <usize>SIDE * <usize>(k + SPARE));
  return b;
}

// y += v A_i
@inline
function addRow(y: usize, a: usize, v: f32, width: usize): void {
  const factor = f32x4.splat(v);
  for (const end = y + width; y < end; y += 16, a += 16)
    v128.store(y, f32x4.add(v128.load(y), f32x4.mul(factor, v128.load(a))));
}

// Latents of user u of the block, whose items get its bit; whether any item is known to the encoder
@inline
function encode(b: Block, layers: DenseLayers, users: Lines, user: i32, u: i32, n: i32, width: usize): bool {
  const Ui = users.indices, Uv = changetype<I32s>(users.values);
  const y = b.y + <usize>u * width;
  let reached = false;
  for (let e = users.indptr[user], end = users.indptr[user + 1]; e < end; e++) {
    const i = Ui[e];
    if (i >= n) continue;
    b.owners[i] = b.owners[i] | (<u64>1 << u);
    if ((layers.known[i] & ENCODED) == 0) continue;
    reached = true;
    addRow(y, layers.encoder + <usize>i * width, present(Uv) ? <f32>Uv[e] : 1, width);
  }
  return reached;
}

// Keeps those of the items first … last of user u that may be among the k best
@inline
function offerScores(b: Block, layers: DenseLayers, u: i32, first: i32, last: i32, k: i32, choice: Choice): void {
  const keys = changetype<U64s>(b.keys + 8 * <usize>u * <usize>(k + SPARE));
  const z = changetype<F32s>(b.z + (<usize>u << 8));
  const own: u64 = choice.keepOwn ? 0 : <u64>1 << u;
  let length = b.lengths[u], floor = b.floors[u];
  for (let i = first; i < last; i++) {
    const key = keyOf(z[i - first], i);
    if (key <= floor || (b.owners[i] & own) != 0 || (layers.known[i] & DECODED) == 0) continue;
    if (present(choice.allowed) && choice.allowed[i] == 0) continue;
    keys[length++] = key;
    if (length < k + SPARE) continue;
    largestDistinct(keys, length, k);
    length = k;
    floor = keys[k - 1];
  }
  b.lengths[u] = length;
  b.floors[u] = floor;
}

// Popular items behind the first `count`, neither the user's own nor listed already; bit u marks those
function fillUp(b: Block, choice: Choice, u: i32, k: i32, count: i32, items: I32s, scores: F32s): i32 {
  const bit = <u64>1 << u;
  for (let p = 0; p < count; p++) b.owners[items[p]] = b.owners[items[p]] | bit;
  let length = count;
  for (let e = 0; e < choice.popularLength && length < k; e++) {
    const i = choice.popular[e];
    if ((b.owners[i] & bit) != 0 || (present(choice.allowed) && choice.allowed[i] == 0)) continue;
    items[length] = i;
    scores[length++] = 0;
  }
  for (let p = 0; p < count; p++) b.owners[items[p]] = b.owners[items[p]] & ~bit;
  return length;
}

/**
 * As `score`, for 64 of `rows` users and layers that are dense: their latents Y, then Y Zᵀ by tiles of 64 items, of which each user
 * keeps the best so far. Sums are float32. Scratch: a `Block`, whose `owners` are 0, also at the end.
 */
export function scoreDense(
  task: i32, scratch: usize, n: i32, rows: i32, users: Lines, layers: DenseLayers, k: i32, choice: Choice,
  items: I32s, scores: F32s, lengths: I32s, fallbacks: I32s,
): void {
  const count = layers.count, width = <usize>count << 8;
  const b = blockAt(scratch, n, width, k);
  const lo = task * SIDE, size = min(rows - lo, SIDE);
  memory.fill(b.y, 0, <usize>SIDE * width);
  for (let u = 0; u < size; u++) {
    const reached = encode(b, layers, users, lo + u, u, n, width);
    b.lengths[u] = 0;
    b.floors[u] = reached && k > 0 ? 0 : u64.MAX_VALUE;
  }
  for (let J = 0; J * SIDE < n; J++) {
    const tiles = layers.decoder + <usize>(J * count) * tileBytes<f32>();
    for (let u = 0; u < size; u += 4) {
      for (let p: usize = 0; p < 8; p++)
        panelProduct(tiles + (p << 11), count, b.y + <usize>u * width, b.z + (<usize>u << 8) + (p << 5), width, 256);
    }
    const first = J * SIDE, last = min(n, first + SIDE);
    for (let u = 0; u < size; u++) offerScores(b, layers, u, first, last, k, choice);
  }
  for (let u = 0; u < size; u++) {
    const keys = changetype<U64s>(b.keys + 8 * <usize>u * <usize>(k + SPARE));
    const list = from(items, (lo + u) * k), values = from(scores, (lo + u) * k);
    let length = b.lengths[u];
    if (length > k) largestDistinct(keys, length, k);
    length = min(length, k);
    descending(keys, length);
    for (let p = 0; p < length; p++) {
      list[p] = itemOf(keys[p]);
      values[p] = scoreOf(keys[p]);
    }
    const filled = length < k && choice.popularLength > 0 ? fillUp(b, choice, u, k, length, list, values) : length;
    lengths[lo + u] = filled;
    fallbacks[lo + u] = filled - length;
  }
  for (let u = 0; u < size; u++) {
    for (let e = users.indptr[lo + u], end = users.indptr[lo + u + 1]; e < end; e++)
      if (users.indices[e] < n) b.owners[users.indices[e]] = 0;
  }
}
