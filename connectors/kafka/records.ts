import type { RecordBatch, Rejection } from '../../src/connector.js';

/** How much of a record is kept for a dead letter. */
const keptBytes = 48 * 1024;

/** The fields of one record, by column. */
export interface Fields {
  user: unknown;
  item: unknown;
  weight: unknown;
  op: unknown;
  ts: unknown;
  id: unknown;
}

/** The original bytes as text, or as `base64:…` where they are no UTF-8; the beginning of them where they are many. */
export function rawText(value: Buffer | null): string {
  if (value === null) return '';
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
  readonly #raw: (Buffer | null)[] = [];

  get length(): number {
    return this.sequence.length;
  }

  add(sequence: number, value: Buffer | null, fields: Fields): void {
    this.user.push(fields.user);
    this.item.push(fields.item);
    this.weight.push(fields.weight);
    this.op.push(fields.op);
    this.ts.push(fields.ts);
    this.id.push(fields.id);
    this.sequence.push(sequence);
    this.#raw.push(value);
  }

  /** A record that has no fields, and why. */
  reject(sequence: number, value: Buffer | null, rejection: Rejection): void {
    this.rejected.set(this.length, rejection);
    this.add(sequence, value, nothing);
  }

  batch(partition: string): RecordBatch {
    const { length, sequence, user, item, weight, op, ts, id, rejected } = this;
    const raw = (k: number) => rawText(this.#raw[k]!);
    return { length, partition, sequence, user, item, weight, op, ts, id, rejected, raw };
  }
}

const nothing: Fields = {
  user: undefined,
  item: undefined,
  weight: undefined,
  op: undefined,
  ts: undefined,
  id: undefined,
};
