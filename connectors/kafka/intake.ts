import type { PartitionBatch, TimeRules } from '../../src/contracts/index.js';
import { Records } from '../../src/mapping/records.js';
import { Bell } from '../../src/runtime/bell.js';
import type { Owned } from './partitions.js';

/** A partition as it is being read. */
export interface Slot {
  readonly owned: Owned;
  /** Offset of the first record that has not come yet: what came before it came without a hole. */
  next: number;
  records: Records;
  /** Whether `next` has moved since it was last handed over. */
  moved: boolean;
}

/**
 * Records that wait for `read`: at most one full batch, and one that fills up while the state stores another. The
 * consumer waits while there is no room.
 */
export class Intake {
  readonly slots = new Map<string, Slot>();
  #records = 0;
  #bytes = 0;
  #since = 0;
  #full: PartitionBatch[] | undefined;
  /** Whether a batch has reached the end that was looked up. */
  #ended = false;
  readonly #bell = new Bell();

  constructor(
    private readonly limits: {
      readonly records: number;
      readonly bytes: number;
      readonly waitMs: number;
    },
    private readonly times?: TimeRules,
  ) {}

  reset(owned: readonly Owned[]): void {
    this.slots.clear();
    for (const o of owned) {
      // Where a new state begins is remembered before anything has come.
      this.slots.set(o.name, { owned: o, next: o.next, records: new Records(), moved: !o.known });
    }
    this.#records = 0;
    this.#bytes = 0;
    this.#full = undefined;
    this.#ended = false;
    this.#since = owned.every(o => o.known) ? 0 : Date.now();
  }

  /** How many more records may come in now. A batch that is full is set aside for the next one, if none is yet. */
  get room(): number {
    const { records, bytes } = this.limits;
    if ((this.#records >= records || this.#bytes >= bytes) && !this.#full) this.#full = this.#cut();
    return this.#bytes >= bytes ? 0 : Math.max(0, records - this.#records);
  }

  /** Moves a partition to `next`, `records` and `bytes` of which are in its slot's records. */
  advance(slot: Slot, next: number, records: number, bytes: number): void {
    slot.next = next;
    slot.moved = true;
    this.#records += records;
    this.#bytes += bytes;
    this.#since ||= Date.now();
    this.changed();
  }

  /**
   * Milliseconds until there is a batch to read: 0 when there is enough, when it has waited, and when it ends where
   * the partitions ended when they were looked up; `undefined` when nothing waits.
   */
  get dueMs(): number | undefined {
    if (this.#full) return 0;
    if (!this.#since) return undefined;
    const { records, bytes, waitMs } = this.limits;
    const enough = this.#records >= records || this.#bytes >= bytes;
    if (enough || (!this.#ended && this.caughtUp)) return 0;
    return Math.max(0, this.#since + waitMs - Date.now());
  }

  /** Returns the oldest batch and removes it. */
  take(): PartitionBatch[] {
    const batches = this.#full ?? this.#cut();
    this.#full = undefined;
    this.changed();
    return batches;
  }

  /** Ends the batch that fills up and begins another. */
  #cut(): PartitionBatch[] {
    const batches: PartitionBatch[] = [];
    for (const slot of this.slots.values()) {
      if (!slot.moved) continue;
      const { name, token } = slot.owned;
      batches.push({
        records: slot.records.batch(name, this.times),
        position: { partition: name, sequence: slot.next - 1, token },
      });
      slot.records = new Records();
      slot.moved = false;
    }
    this.#records = 0;
    this.#bytes = 0;
    this.#since = 0;
    this.#ended ||= this.caughtUp;
    return batches;
  }

  /** Whether every partition has been read up to the high watermark of its look-up. */
  get caughtUp(): boolean {
    for (const { next, owned } of this.slots.values()) if (next < owned.high) return false;
    return true;
  }

  /** Wakes everyone who waits for a change. */
  changed(): void {
    this.#bell.ring();
  }

  /** Waits for a change, for at most `ms` milliseconds. */
  change(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#bell.wait(ms, signal);
  }
}
