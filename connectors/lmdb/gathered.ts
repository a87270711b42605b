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

  get entries(): number {
    return this.#entries;
  }

  /** Whether there are enough for a transaction. */
  get full(): boolean {
    return this.#length >= transactionBytes;
  }

  /** Copies bytes behind the others, because LMDB's addon takes no shared memory; returns where they begin. */
  take(bytes: Uint8Array): number {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    this.#length += bytes.length;
    return at;
  }

  /** An entry whose value was taken: it lies from `start` to `end`. */
  add(key: string, start: number, end: number): void {
    const e = 4 * this.#entries++;
    if (e === this.#places.length) {
      const larger = new Int32Array(2 * e);
      larger.set(this.#places);
      this.#places = larger;
    }
    const places = this.#places;
    places[e] = this.#reserve(3 * key.length);
    this.#length += this.#bytes.write(key, this.#length);
    places[e + 1] = this.#length;
    places[e + 2] = start;
    places[e + 3] = end;
  }

  /** Calls `visit` with the keys and values of entries `from` to `to`, which are views; returns where it ended. */
  each(visit: (key: Buffer, value: Buffer) => void, from: number, to: number): number {
    const [bytes, places] = [this.#bytes, this.#places];
    const end = Math.min(to, this.#entries);
    for (let e = 4 * from; e < 4 * end; e += 4)
      visit(bytes.subarray(places[e], places[e + 1]), bytes.subarray(places[e + 2], places[e + 3]));
    return end;
  }

  /** Has room for `more` bytes; returns where they begin. */
  #reserve(more: number): number {
    const wanted = this.#length + more;
    if (this.#bytes.length < wanted) {
      const larger = Buffer.allocUnsafeSlow(Math.ceil(1.25 * Math.max(wanted, transactionBytes)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    return this.#length;
  }

  clear(): void {
    this.#entries = 0;
    this.#length = 0;
    this.progress = undefined;
  }
}
