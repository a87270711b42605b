import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** Runs that are merged at a time, and bytes that are read of each. */
const fanIn = 32;
const pieceBytes = 2 ** 15;
/** In front of each record: bytes of its key and of its value. */
const headBytes = 8;

/** A key with its value: views, which the next record overwrites. */
export type Entry = readonly [key: Buffer, value: Buffer];

/** Records in ascending order of their keys, in a file from `from` to `to`. */
interface Run {
  readonly file: number;
  readonly from: number;
  readonly to: number;
}

/** Opens a file without a name, so that it goes with the process. */
function openNameless(path: string): number {
  const file = openSync(path, 'wx+');
  rmSync(path);
  return file;
}

/** Reads the records of a run one by one. */
class RunReader {
  readonly #run: Run;
  #at: number;
  #piece = Buffer.alloc(pieceBytes);
  /** Where the record is in the piece, and how much of the piece is filled. */
  #start = 0;
  #filled = 0;
  key = Buffer.alloc(0);
  value = Buffer.alloc(0);

  constructor(run: Run) {
    this.#run = run;
    this.#at = run.from;
  }

  /** Goes to the next record; false behind the last. */
  next(): boolean {
    if (!this.#holds(headBytes)) return false;
    const keyBytes = this.#piece.readUInt32LE(this.#start);
    const valueBytes = this.#piece.readUInt32LE(this.#start + 4);
    const bytes = headBytes + keyBytes + valueBytes;
    if (!this.#holds(bytes)) throw new Error('a file of waiting lists ended within one of them');
    const key = this.#start + headBytes;
    this.key = this.#piece.subarray(key, key + keyBytes);
    this.value = this.#piece.subarray(key + keyBytes, key + keyBytes + valueBytes);
    this.#start += bytes;
    return true;
  }

  /** Whether the piece has `bytes` from the record on, after it was filled up. */
  #holds(bytes: number): boolean {
    if (this.#filled - this.#start >= bytes) return true;
    const rest = this.#piece.subarray(this.#start, this.#filled);
    const piece = bytes > this.#piece.length ? Buffer.alloc(2 * bytes) : this.#piece;
    piece.set(rest);
    [this.#piece, this.#start, this.#filled] = [piece, 0, rest.length];
    while (this.#filled < bytes && this.#at < this.#run.to) {
      const most = Math.min(piece.length - this.#filled, this.#run.to - this.#at);
      const read = readSync(this.#run.file, piece, this.#filled, most, this.#at);
      if (read === 0) break;
      this.#filled += read;
      this.#at += read;
    }
    return this.#filled >= bytes;
  }
}

/** The records of runs by ascending key, and of equal keys those of earlier runs first. */
function* merged(runs: readonly Run[]): Generator<Entry> {
  const readers = runs.map(run => new RunReader(run));
  const before = (a: number, b: number): boolean => {
    const by = Buffer.compare(readers[a]!.key, readers[b]!.key);
    return by < 0 || (by === 0 && a < b);
  };
  // A heap, which a sorted list is.
  const order = [...readers.keys()].filter(r => readers[r]!.next()).sort((a, b) => (before(a, b) ? -1 : 1));
  let heap = order.length;
  const sink = (r: number): void => {
    let k = 0;
    for (let child = 1; child < heap; child = 2 * k + 1) {
      if (child + 1 < heap && before(order[child + 1]!, order[child]!)) child++;
      if (before(r, order[child]!)) break;
      order[k] = order[child]!;
      k = child;
    }
    order[k] = r;
  };
  while (heap > 0) {
    const first = order[0]!;
    yield [readers[first]!.key, readers[first]!.value];
    const last = readers[first]!.next() ? first : order[--heap]!;
    if (heap > 0) sink(last);
  }
}

/**
 * Keys with values, many more than memory holds, by ascending key: an external merge sort (Knuth, The Art of Computer
 * Programming 3, 5.4). Runs of `runBytes` are sorted in memory, and merged 32 at a time.
 */
export class SortedSpool {
  readonly #path: string;
  readonly #buffer: Buffer;
  #filled = 0;
  /** Where records begin in the buffer. */
  #records: number[] = [];
  /** The file of runs, where it ends, and what will be appended to it. */
  #file: number | undefined;
  #end = 0;
  readonly #piece = Buffer.allocUnsafeSlow(2 ** 18);
  #pieceFilled = 0;
  #runs: Run[] = [];
  entries = 0;

  /** Bytes that wait, in memory and in files. */
  get bytes(): number {
    return this.#end + this.#filled;
  }

  /** `path` begins the names of files, which exist only while they are opened. */
  constructor(path: string, runBytes: number) {
    this.#path = path;
    this.#buffer = Buffer.allocUnsafeSlow(runBytes);
  }

  add(key: string, value: Uint8Array): void {
    const most = headBytes + 3 * key.length + value.length;
    if (this.#filled + most > this.#buffer.length) this.#spill();
    this.entries++;
    if (most > this.#buffer.length) {
      this.#append([[Buffer.from(key), Buffer.from(value)]]);
      return;
    }
    const at = this.#filled;
    const buffer = this.#buffer;
    const keyBytes = buffer.write(key, at + headBytes);
    buffer.writeUInt32LE(keyBytes, at);
    buffer.writeUInt32LE(value.length, at + 4);
    buffer.set(value, at + headBytes + keyBytes);
    this.#records.push(at);
    this.#filled = at + headBytes + keyBytes + value.length;
  }

  /** Appends entries in their order as a run. */
  #append(entries: Iterable<Entry>): void {
    this.#file ??= openNameless(`${this.#path}-${randomUUID()}`);
    const from = this.#end;
    const head = Buffer.alloc(headBytes);
    for (const [key, value] of entries) {
      head.writeUInt32LE(key.length, 0);
      head.writeUInt32LE(value.length, 4);
      for (const bytes of [head, key, value]) this.#write(bytes);
    }
    this.#flush();
    this.#runs.push({ file: this.#file, from, to: this.#end });
    if (this.#runs.length === fanIn) this.#mergeRuns();
  }

  #write(bytes: Uint8Array): void {
    if (this.#pieceFilled + bytes.length > this.#piece.length) this.#flush();
    if (bytes.length > this.#piece.length) {
      this.#writeOut(bytes);
      return;
    }
    this.#piece.set(bytes, this.#pieceFilled);
    this.#pieceFilled += bytes.length;
  }

  #flush(): void {
    this.#writeOut(this.#piece.subarray(0, this.#pieceFilled));
    this.#pieceFilled = 0;
  }

  #writeOut(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#file!, bytes, done, bytes.length - done, this.#end + done);
    this.#end += bytes.length;
  }

  /** Makes one run of all, in a file of its own. */
  #mergeRuns(): void {
    const runs = this.#runs;
    [this.#runs, this.#file, this.#end] = [[], undefined, 0];
    this.#append(merged(runs));
    closeSync(runs[0]!.file);
  }

  /** The records in the buffer by ascending key. */
  *#buffered(): Generator<Entry> {
    const buffer = this.#buffer;
    const keyEnd = (at: number) => at + headBytes + buffer.readUInt32LE(at);
    this.#records.sort(
      (a, b) => buffer.compare(buffer, b + headBytes, keyEnd(b), a + headBytes, keyEnd(a)) || a - b,
    );
    for (const at of this.#records) {
      const end = keyEnd(at);
      yield [buffer.subarray(at + headBytes, end), buffer.subarray(end, end + buffer.readUInt32LE(at + 4))];
    }
  }

  #spill(): void {
    if (this.#records.length > 0) this.#append(this.#buffered());
    [this.#records, this.#filled] = [[], 0];
  }

  /** All of them by ascending key, and of equal keys in the order in which they were added. */
  *sorted(): Generator<Entry> {
    if (this.#runs.length === 0) return yield* this.#buffered();
    this.#spill();
    yield* merged(this.#runs);
  }

  clear(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    [this.#runs, this.#file, this.#end] = [[], undefined, 0];
    [this.#records, this.#filled, this.entries] = [[], 0, 0];
  }
}
