const newline = 0x0a;
const [carriageReturn, space] = [0x0d, 0x20];
const byteOrderMark = Buffer.of(0xef, 0xbb, 0xbf);

/** A line without its end. */
export interface Line {
  readonly bytes: Buffer;
  /** Bytes of the stream up to its end, its newline included. */
  readonly end: number;
}

/** Cuts a stream of bytes into lines. Of a line longer than `mostBytes`, one byte more than that is kept. */
export class Lines {
  readonly #mostBytes: number;
  #chunk: Buffer = none;
  #at = 0;
  /** The beginning of a line whose end has not come, and how long it is by now. */
  #parts: Buffer[] = [];
  #kept = 0;
  #waiting = 0;
  /** Bytes of the stream before `#chunk`. */
  #before: number;

  constructor(mostBytes: number, from: number) {
    this.#mostBytes = mostBytes;
    this.#before = from;
  }

  /** Bytes of the stream that have come. */
  get come(): number {
    return this.#before + this.#chunk.length;
  }

  /** Bytes of a line whose end has not come. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Adds bytes, which stay as they are; there is no line left. */
  add(chunk: Buffer): void {
    this.#before += this.#chunk.length;
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next line that has come to its end. */
  next(): Line | undefined {
    const at = this.#chunk.indexOf(newline, this.#at);
    if (at < 0) {
      this.#keep(this.#chunk.subarray(this.#at));
      this.#at = this.#chunk.length;
      return undefined;
    }
    const part = this.#chunk.subarray(this.#at, at);
    this.#at = at + 1;
    return { bytes: this.#whole(part), end: this.#before + at + 1 };
  }

  /** Ends the line that waits, where nothing follows it. */
  last(): Line {
    return { bytes: this.#whole(none), end: this.come };
  }

  /** The line that waits, which goes on waiting. */
  get unfinished(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #keep(part: Buffer): void {
    this.#waiting += part.length;
    const room = this.#mostBytes + 1 - this.#kept;
    if (room <= 0 || part.length === 0) return;
    const kept = part.subarray(0, room);
    this.#parts.push(kept);
    this.#kept += kept.length;
  }

  #whole(end: Buffer): Buffer {
    if (this.#waiting === 0) return trimmed(end.subarray(0, this.#mostBytes + 1));
    this.#keep(end);
    const bytes = trimmed(this.unfinished);
    this.#parts = [];
    this.#kept = 0;
    this.#waiting = 0;
    return bytes;
  }
}

const none = Buffer.alloc(0);

/** Without blanks around it, and without a byte order mark before it. */
function trimmed(bytes: Buffer): Buffer {
  let from = bytes.subarray(0, 3).equals(byteOrderMark) ? 3 : 0;
  let to = bytes.length;
  const blank = (byte: number | undefined) => byte === space || byte === carriageReturn || byte === 9;
  while (to > from && blank(bytes[to - 1])) to--;
  while (from < to && blank(bytes[from])) from++;
  return bytes.subarray(from, to);
}
