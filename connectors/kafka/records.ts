import type { RecordBatch, Rejection, TimeRules } from '../../src/contracts/index.js';

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

/** Records of one partition in columns, appended until they are handed over as a batch. */
export class Records {
  readonly user: unknown[] = [];
  readonly item: unknown[] = [];
  readonly weight: unknown[] = [];
  readonly op: unknown[] = [];
  readonly ts: unknown[] = [];
  readonly id: unknown[] = [];
  readonly sequence: number[] = [];
  readonly rejected = new Map<number, Rejection>();
  // Where the bytes of each record lie: a Buffer a record would outlive the batch it came in, at a cost.
  readonly #stores: ArrayBufferLike[] = [];
  #latest: ArrayBufferLike | undefined;
  readonly #store: number[] = [];
  readonly #start: number[] = [];
  readonly #size: number[] = [];

  get length(): number {
    return this.sequence.length;
  }

  /** A record; the caller pushes its fields to the six columns, each one. */
  add(sequence: number, value: Buffer | null): void {
    this.sequence.push(sequence);
    const bytes = value ?? none;
    const { buffer } = bytes;
    if (buffer !== this.#latest) this.#stores.push((this.#latest = buffer));
    this.#store.push(this.#stores.length - 1);
    this.#start.push(bytes.byteOffset);
    this.#size.push(bytes.length);
  }

  #raw(k: number): Buffer {
    return Buffer.from(this.#stores[this.#store[k]!]!, this.#start[k]!, this.#size[k]!);
  }

  /** A record that has no fields, and why. */
  reject(sequence: number, value: Buffer | null, rejection: Rejection): void {
    this.rejected.set(this.length, rejection);
    this.add(sequence, value);
    for (const column of [this.user, this.item, this.weight, this.op, this.ts, this.id])
      column.push(undefined);
  }

  /** What has come, as one batch; `times` say how its times are read. */
  batch(partition: string, times?: TimeRules): RecordBatch {
    const { length, sequence, user, item, weight, op, ts, id, rejected } = this;
    const raw = (k: number) => rawText(this.#raw(k));
    return { length, partition, sequence, user, item, weight, op, ts, id, times, rejected, raw };
  }
}

const none = Buffer.alloc(0);
