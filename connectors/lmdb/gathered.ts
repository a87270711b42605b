import type { StoredPublication } from '../../src/publish/sink-steps.js';

/** Bytes of lists that are put by one transaction. */
const transactionBytes = 2 ** 21;

/** Keys and values that one transaction puts, side by side in one buffer: objects that wait would all grow old. */
export class Gathered {
  /** How far a version is with these. */
  progress: { readonly key: Buffer; readonly value: StoredPublication } | undefined;
  #bytes = Buffer.alloc(0);
  #length = 0;
  /** For each entry where its key begins and ends, and its value. */
  #places = new Int32Array(4096);
  #entries = 0;

  get length(): number {
    return this.#length;
  }

  /** Whether there are enough for a transaction. */
  get full(): boolean {
    return this.#length >= transactionBytes;
  }

  /** Copies bytes behind the others, because LMDB's addon takes no shared memory; returns where they begin. */
  take(bytes: Uint8Array): number {
    const at = this.#length;
    this.#length += bytes.length;
    if (this.#bytes.length < this.#length) {
      const larger = Buffer.allocUnsafeSlow(Math.ceil(1.25 * Math.max(this.#length, transactionBytes)));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, at);
    return at;
  }

  /** An entry whose value was taken: it lies from `start` to `end`. */
  add(key: Buffer, start: number, end: number): void {
    const at = 4 * this.#entries++;
    if (at === this.#places.length) {
      const larger = new Int32Array(2 * at);
      larger.set(this.#places);
      this.#places = larger;
    }
    const from = this.take(key);
    this.#places.set([from, from + key.length, start, end], at);
  }

  /** Calls `visit` with each key and value, which are views. */
  each(visit: (key: Buffer, value: Buffer) => void): void {
    for (let e = 0; e < 4 * this.#entries; e += 4) {
      const [key, keyEnd, value, valueEnd] = this.#places.subarray(e, e + 4);
      visit(this.#bytes.subarray(key, keyEnd), this.#bytes.subarray(value, valueEnd));
    }
  }

  clear(): void {
    this.#entries = 0;
    this.#length = 0;
    this.progress = undefined;
  }
}
