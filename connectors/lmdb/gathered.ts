import type { StoredPublication } from '../../src/publish/sink-steps.js';

/** Bytes of lists that are put by one transaction. */
const transactionBytes = 2 ** 21;

/** Lists that one transaction puts. */
export class Gathered {
  readonly entries: { readonly key: Buffer; readonly start: number; readonly end: number }[] = [];
  values = Buffer.alloc(0);
  length = 0;
  progress: { readonly key: Buffer; readonly value: StoredPublication } | undefined;

  /** Whether there are enough for a transaction. */
  get full(): boolean {
    return this.length >= transactionBytes;
  }

  /** Copies bytes behind the others, because LMDB's addon takes no shared memory; returns where they begin. */
  take(bytes: Uint8Array): number {
    const at = this.length;
    this.length += bytes.length;
    if (this.values.length < this.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.length, transactionBytes + bytes.length));
      larger.set(this.values.subarray(0, at));
      this.values = larger;
    }
    this.values.set(bytes, at);
    return at;
  }

  clear(): void {
    this.entries.length = 0;
    this.length = 0;
    this.progress = undefined;
  }
}
