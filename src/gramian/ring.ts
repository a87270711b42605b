import type { Address, Arena } from '../runtime/arena.js';
import { allocate, bytesOf } from '../runtime/parts.js';
import { record, write } from '../runtime/records.js';
import type { Threads } from '../runtime/threads.js';
import type { Report, StreamTaker } from './columns.js';

/** Columns in a block at most. */
const WIDTH = 512;
/** Entries in a slot of the ring at least; a single column may need more. */
const SLOT_ENTRIES = 1 << 15;
/** Entries that a slot has to spare: a list of touched rows is written one ahead. */
const SPARE_ENTRIES = 16;
/** Blocks handed over between two reports of progress. */
const REPORT_EVERY = 64;

/** Slots of the ring: one to take from, one in reserve, and two for each producer. */
const slotsOf = (threads: number): number => (threads === 1 ? 1 : 2 + 2 * threads);

/** A ring of slots; packed ones hold values and positions in one word. */
const ringParts = (threads: number, capacity: number, packed: boolean) => ({
  ready: 4 * slotsOf(threads),
  starts: 4 * slotsOf(threads) * (WIDTH + 1),
  indices: 4 * slotsOf(threads) * capacity,
  values: packed ? 0 : 8 * slotsOf(threads) * capacity,
});

/** The most entries of each column, and the bounds of the blocks that a stream makes of them. */
const streamParts = (n: number) => ({ most: 8 * n, bounds: 4 * (n + 1) });

/** Bytes of a ring for n columns at most; `packed` where it is sure that values are. */
export const ringRoom = (n: number, threads: number, packed: boolean): number =>
  bytesOf(streamParts(n)) + bytesOf(ringParts(threads, Math.max(n, SLOT_ENTRIES) + SPARE_ENTRIES, packed));

/** The ring that blocks of columns wait in; see the kernels `pipeline`. */
export interface Ring {
  readonly record: Address;
  readonly blocks: number;
  /** Block b is the columns bounds[b] … bounds[b + 1]. */
  readonly bounds: Int32Array;
}

/**
 * A ring on top of the arena. Column j has `entries[j]` entries at most, none as large as `stride`; `kind` says what the
 * producers read.
 */
export function openRing(
  arena: Arena,
  threads: Threads,
  entries: Float64Array,
  { stride, kind }: { readonly stride: number; readonly kind: number },
): Ring {
  const n = entries.length;
  const at = allocate(arena, streamParts(n), 'blocks');
  const most = arena.f64(at.most, n);
  let capacity = SLOT_ENTRIES;
  for (let j = 0; j < n; j++) {
    most[j] = Math.min(entries[j]!, n - 1 - j);
    capacity = Math.max(capacity, most[j]!);
  }
  capacity += SPARE_ENTRIES;
  const blocks = arena.kernels.blocks(n, at.most, 0, SLOT_ENTRIES, WIDTH, at.bounds);
  const bits = Math.max(1, 32 - Math.clz32(n - 1));
  const packed = stride <= 2 ** (32 - bits) && bits < 32;
  const parts = allocate(arena, ringParts(threads.size, capacity, packed), 'ring');
  const slots = slotsOf(threads.size);
  arena.i32(parts.ready, slots).fill(0);
  const begun = { next: 0, consumed: 0, stopped: 0 };
  const shape = { blocks, slots, width: WIDTH, capacity, kind, stride, shift: packed ? bits : 0 };
  const address = record(arena, 'Ring', { ...begun, ...shape, bounds: at.bounds, ...parts }, 'ring');
  return { record: address, blocks, bounds: arena.i32(at.bounds, blocks + 1) };
}

/** What the producers of a ring read, and the scratch of each. */
export interface Production {
  readonly source: Address;
  readonly scratch: Address;
  readonly scratchBytes: number;
}

/**
 * Hands the blocks from … end − 1 to `to` on the calling thread, while the other threads produce what follows. False if
 * `take` said stop.
 */
export function handOver(
  arena: Arena,
  threads: Threads,
  ring: Ring,
  [from, end]: readonly [number, number],
  { source, scratch, scratchBytes }: Production,
  { take, state }: StreamTaker,
  report: Report,
): boolean {
  write(arena, 'Ring', ring.record, { next: from, consumed: from, blocks: end });
  const args = [ring.record, source] as const;
  threads.start({ kernel: 'produce', tasks: threads.size - 1, args, scratch, scratchBytes });
  let ok = true;
  for (let done = from; ok && done < end; done += REPORT_EVERY) {
    report(done / ring.blocks);
    const until = Math.min(end, done + REPORT_EVERY);
    ok = arena.kernels.consume(scratch, take, state, ring.record, source, until) !== 0;
  }
  if (!ok) arena.kernels.stop(ring.record);
  threads.finish();
  return ok;
}
