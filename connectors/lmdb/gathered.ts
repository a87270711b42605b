import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import type { StoredPublication } from '../../src/publish/sink-steps.js';

/** Bytes of lists that are put by one transaction, and that wait in memory. */
export const transactionBytes = 2 ** 21;

/** Bytes beside its key for each entry: four places, and one in the order of the keys. */
const entryBytes = 5 * 4;

/**
 * Keys and values on their way into LMDB. Keys lie side by side in one buffer, and so do values, because objects that
 * wait would all grow old. Values beyond `transactionBytes` wait in a file, so that many lists can be put in the order
 * of their keys: then a page that one of them touches is the page of the next.
 */
export class Gathered {
  /** How far a version is with these. */
  progress: { readonly key: Buffer; readonly value: StoredPublication } | undefined;
  readonly #path: string;
  /** Values before `#spilled` are in the file, the others in `#values`. */
  #file: number | undefined;
  #spilled = 0;
  #values = Buffer.alloc(0);
  #waiting = 0;
  #keys = Buffer.alloc(0);
  #keyLength = 0;
  /** For each entry where its key begins and ends, and its value. */
  #places = new Int32Array(4096);
  #entries = 0;
  #order: Uint32Array | undefined;
  #read = Buffer.alloc(0);

  /** `path` begins the name of the file, which exists only while it is opened. */
  constructor(path: string) {
    this.#path = path;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Bytes of values. */
  get length(): number {
    return this.#spilled + this.#waiting;
  }

  /** Bytes of what stays in memory for each entry. */
  get keyBytes(): number {
    return this.#keyLength + entryBytes * this.#entries;
  }

  /** Copies values behind the others, because LMDB's addon takes no shared memory; returns where they begin. */
  take(values: Uint8Array): number {
    if (this.#waiting >= transactionBytes) this.#spill();
    const at = this.length;
    this.#values = withRoom(this.#values, this.#waiting, values.length, transactionBytes);
    this.#values.set(values, this.#waiting);
    this.#waiting += values.length;
    return at;
  }

  /** Opens the file without a name, so that it goes with the process, and moves the values into it. */
  #spill(): void {
    if (this.#file === undefined) {
      const path = `${this.#path}-${randomUUID()}`;
      this.#file = openSync(path, 'wx+');
      rmSync(path);
    }
    for (let done = 0; done < this.#waiting; )
      done += writeSync(this.#file, this.#values, done, this.#waiting - done, this.#spilled + done);
    this.#spilled += this.#waiting;
    this.#waiting = 0;
  }

  /** An entry whose value was taken: it lies from `start` to `end`. */
  add(key: string, start: number, end: number): void {
    const e = 4 * this.#entries++;
    if (e === this.#places.length) {
      const larger = new Int32Array(2 * e);
      larger.set(this.#places);
      this.#places = larger;
    }
    this.#keys = withRoom(this.#keys, this.#keyLength, 3 * key.length, 2 ** 17);
    const places = this.#places;
    places[e] = this.#keyLength;
    this.#keyLength += this.#keys.write(key, this.#keyLength);
    places[e + 1] = this.#keyLength;
    places[e + 2] = start;
    places[e + 3] = end;
  }

  /**
   * Calls `visit` with the keys and values of entries `from` to `to` in the order of the keys. They are views, which the
   * next call overwrites. Returns where it ended.
   */
  each(visit: (key: Buffer, value: Buffer) => void, from: number, to: number): number {
    this.#order ??= this.#sorted();
    const [keys, places, order] = [this.#keys, this.#places, this.#order];
    const end = Math.min(to, this.#entries);
    for (let k = from; k < end; k++) {
      const e = order[k]!;
      visit(keys.subarray(places[e], places[e + 1]), this.#value(places[e + 2]!, places[e + 3]!));
    }
    return end;
  }

  /** The places of the entries, by ascending key. */
  #sorted(): Uint32Array {
    const [keys, places] = [this.#keys, this.#places];
    const order = Uint32Array.from({ length: this.#entries }, (_, k) => 4 * k);
    return order.sort((a, b) => keys.compare(keys, places[b], places[b + 1], places[a], places[a + 1]));
  }

  #value(start: number, end: number): Buffer {
    if (start >= this.#spilled) return this.#values.subarray(start - this.#spilled, end - this.#spilled);
    const length = end - start;
    this.#read = withRoom(this.#read, 0, length, 2 ** 12);
    for (let done = 0; done < length; ) {
      const read = readSync(this.#file!, this.#read, done, length - done, start + done);
      if (read === 0) throw new Error('a file of waiting lists ended before the last of them');
      done += read;
    }
    return this.#read.subarray(0, length);
  }

  clear(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
    this.#entries = this.#keyLength = this.#spilled = this.#waiting = 0;
    this.#order = undefined;
    this.progress = undefined;
  }
}

/** A buffer that keeps its first `length` bytes and has room for `more`. */
function withRoom(buffer: Buffer<ArrayBuffer>, length: number, more: number, least: number) {
  const wanted = length + more;
  if (buffer.length >= wanted) return buffer;
  const larger = Buffer.allocUnsafeSlow(Math.ceil(1.25 * Math.max(wanted, least)));
  larger.set(buffer.subarray(0, length));
  return larger;
}
