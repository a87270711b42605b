import type { RecordBatch, Rejection, TimeRules } from '../contracts/index.js';
import type { Taken } from './mapping.js';

/** How much of a record is kept for a dead letter. */
const keptBytes = 48 * 1024;

/** The original bytes as text, or as `base64:…` where they are no UTF-8; the beginning of them where they are many. */
export function rawText(value: Buffer): string {
  const begin = value.subarray(0, keptBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(begin, {
      stream: begin.length < value.length,
    });
  } catch {
    return `base64:${begin.toString('base64')}`;
  }
}

/** The bytes that `rawText` was made of. */
export const originalBytes = (raw: string): Buffer =>
  raw.startsWith('base64:') ? Buffer.from(raw.slice(7), 'base64') : Buffer.from(raw);

/** Events of one partition in columns, appended record by record until they are handed over as a batch. */
export class Records implements Taken {
  readonly user: unknown[] = [];
  readonly item: unknown[] = [];
  readonly weight: unknown[] = [];
  readonly op: unknown[] = [];
  readonly ts: unknown[] = [];
  readonly id: unknown[] = [];
  readonly sequence: number[] = [];
  readonly rejected = new Map<number, Rejection>();
  /** Records and elements of them that were skipped, by reason. */
  readonly skipped = new Map<string, number>();
  // Where the bytes of each record lie: a Buffer a record would outlive the batch it came in, at a cost.
  readonly #stores: ArrayBufferLike[] = [];
  #latest: ArrayBufferLike | undefined;
  readonly #store: number[] = [];
  readonly #start: number[] = [];
  readonly #size: number[] = [];
  // The record that comes now, the length before it, and what was skipped of it.
  #offset = 0;
  #bytes: Buffer = none;
  #from = 0;
  readonly #passed: string[] = [];

  get length(): number {
    return this.sequence.length;
  }

  /** Begins a record; `event`, `skip` and `reject` are about it. */
  begin(sequence: number, bytes: Buffer | null): void {
    this.#offset = sequence;
    this.#bytes = bytes ?? none;
    this.#from = this.sequence.length;
    if (this.#passed.length > 0) this.#passed.length = 0;
  }

  event(user: unknown, item: unknown, weight: unknown, op: unknown, ts: unknown, id: unknown): void {
    this.user.push(user);
    this.item.push(item);
    this.weight.push(weight);
    this.op.push(op);
    this.ts.push(ts);
    this.id.push(id);
    this.sequence.push(this.#offset);
    const { buffer, byteOffset, length } = this.#bytes;
    if (buffer !== this.#latest) this.#stores.push((this.#latest = buffer));
    this.#store.push(this.#stores.length - 1);
    this.#start.push(byteOffset);
    this.#size.push(length);
  }

  skip(reason: string): void {
    this.#passed.push(reason);
    this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + 1);
  }

  /** The record has no fields, and why; what it has brought until now is void. */
  reject(rejection: Rejection): void {
    for (const column of this.#columns()) column.length = this.#from;
    for (const reason of this.#passed) this.skipped.set(reason, this.skipped.get(reason)! - 1);
    this.rejected.set(this.length, rejection);
    this.event(undefined, undefined, undefined, undefined, undefined, undefined);
  }

  /** Adds what another has, behind what is here. */
  add(other: Records): void {
    for (const [k, rejection] of other.rejected) this.rejected.set(this.length + k, rejection);
    for (const [reason, n] of other.skipped) this.skipped.set(reason, (this.skipped.get(reason) ?? 0) + n);
    const stores = this.#stores.length;
    for (const store of other.#store) this.#store.push(stores + store);
    for (const store of other.#stores) this.#stores.push(store);
    this.#latest = other.#latest;
    const from = other.#columns();
    for (const [c, column] of this.#columns().entries())
      if (column !== this.#store) for (const x of from[c]!) column.push(x);
  }

  #columns(): unknown[][] {
    const { user, item, weight, op, ts, id, sequence } = this;
    return [user, item, weight, op, ts, id, sequence, this.#store, this.#start, this.#size];
  }

  #raw(k: number): Buffer {
    return Buffer.from(this.#stores[this.#store[k]!]!, this.#start[k]!, this.#size[k]!);
  }

  /** What has come, as one batch; `times` say how its times are read. */
  batch(partition: string, times?: TimeRules): RecordBatch {
    const { length, sequence, user, item, weight, op, ts, id, rejected, skipped } = this;
    const raw = (k: number) => rawText(this.#raw(k));
    return { length, partition, sequence, user, item, weight, op, ts, id, times, rejected, skipped, raw };
  }
}

const none = Buffer.alloc(0);
