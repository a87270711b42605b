import { createHash } from 'node:crypto';
import { fstatSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { KeptRecord, Position, Read, RecordBatch, Source } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { createJsonDecoder, type JsonDecoder } from '../../src/mapping/json-decoder.js';
import { Records } from '../../src/mapping/records.js';
import { Lines } from './lines.js';
import { type NdjsonSourceOptions, standardInput } from './options.js';
import { PipeSource } from './pipe-source.js';

/** Bytes that are read from a file at a time, and those at its beginning and before a position that it is known by. */
const chunkBytes = 2 ** 20;
const markedBytes = 1024;

/** What a position of a file says beside its sequence: where the file begins, and what it is known by. */
interface Token {
  /** Sequence number of the first byte; above 0 once the file was replaced. */
  readonly base: number;
  readonly mark: string;
}

/**
 * A source over a file of lines that grows. Its one partition is `lines`; a line's sequence is the number of its last
 * byte, so that reading goes on at the next byte. A file is known again by its first bytes and by those before that place.
 *
 * The last line may be under way: without its newline it is taken once it is a whole object.
 */
class NdjsonFile implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly #options: NdjsonSourceOptions;
  readonly #path: string;
  readonly #where: string;
  readonly #decoder: JsonDecoder;
  readonly #batchBytes: number;
  #file: FileHandle | undefined;
  #lines: Lines | undefined;
  #base = 0;
  /** Whether the last look found no more bytes. */
  #ended = false;
  #warnings: string[] = [];
  /** Bytes of an unfinished line that were warned of. */
  #warnedOf = 0;

  constructor(options: NdjsonSourceOptions, path: string, batchBytes: number) {
    this.name = options.name;
    this.#options = options;
    this.#path = path;
    this.#where = `source ${options.name}: ${path}`;
    this.#decoder = createJsonDecoder(options);
    this.#batchBytes = batchBytes;
  }

  async connect(positions: readonly Position[]): Promise<void> {
    await this.close();
    const at = positions.find(p => p.partition === 'lines');
    const next = (at?.sequence ?? -1) + 1;
    const token: Token = at?.token ? (JSON.parse(at.token) as Token) : { base: 0, mark: '' };
    this.#file = await open(this.#path).catch(error => {
      throw this.#unreadable(error);
    });
    if (!fstatSync(this.#file.fd).isFile())
      throw new StageError('SOURCE_UNREADABLE', `${this.#where}: expected a file or a named pipe`);
    this.#base = token.base;
    if (next > 0 && (await this.#mark(next - token.base)) !== token.mark) {
      const found = `${this.#where}: the file is not the one that was read up to byte ${next - token.base}`;
      if (this.#options.onReplaced === 'refuse')
        throw new StageError(
          'SOURCE_UNREADABLE',
          `${found}; set \`onReplaced: restart\` to read it from its beginning, or give the source another name`,
        );
      this.#warnings.push(
        `${found}; it is read from its beginning, lines of the other that came later are lost`,
      );
      this.#base = next;
    }
    this.#lines = new Lines(this.#options.maxRecordBytes, next - this.#base);
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    const lines = this.#lines!;
    const records = new Records();
    let [taken, bytes, end] = [0, 0, -1];
    const { batch } = this.#options;
    while (!signal?.aborted) {
      const line = lines.next() ?? ((await this.#more(lines)) ? undefined : this.#lastOf(lines));
      if (line === undefined) {
        if (this.#ended) break;
        continue;
      }
      end = line.end;
      if (line.bytes.length > 0) {
        this.#decoder.decode(line.bytes, this.#base + end - 1, undefined, records);
        taken++;
        bytes += line.bytes.length;
      }
      if (taken >= batch.records || bytes >= this.#batchBytes) break;
    }
    if (end < 0) return undefined;
    const token: Token = { base: this.#base, mark: await this.#mark(end) };
    const position: Position = {
      partition: 'lines',
      sequence: this.#base + end - 1,
      token: JSON.stringify(token),
    };
    return {
      batches: [{ records: this.#decoder.batch('lines', records), position }],
      ack: async () => undefined,
    };
  }

  /** Reads on; false at the present end of the file. */
  async #more(lines: Lines): Promise<boolean> {
    const chunk = Buffer.allocUnsafeSlow(chunkBytes);
    const { bytesRead } = await this.#file!.read(chunk, 0, chunkBytes, lines.come).catch(error => {
      throw this.#unreadable(error);
    });
    this.#ended = bytesRead === 0;
    if (bytesRead > 0) lines.add(chunk.subarray(0, bytesRead));
    return bytesRead > 0;
  }

  /** The last line of the file, if it is whole without a newline: what follows an object can only be blank. */
  #lastOf(lines: Lines) {
    const { waiting } = lines;
    if (waiting === 0) return undefined;
    try {
      const value: unknown = JSON.parse(lines.unfinished.toString());
      if (typeof value === 'object' && value !== null) return lines.last();
    } catch {
      // Its end may come.
    }
    if (waiting !== this.#warnedOf)
      this.#warnings.push(`the last line of ${this.#path} has no end yet, and waits`);
    this.#warnedOf = waiting;
    return undefined;
  }

  /** What the file is known by, where it has been read up to the byte `end`. */
  async #mark(end: number): Promise<string> {
    const hash = createHash('sha256');
    const length = Math.min(markedBytes, end);
    for (const from of [0, end - length]) {
      const { buffer, bytesRead } = await this.#file!.read(Buffer.alloc(length), 0, length, from);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('base64url').slice(0, 16);
  }

  #unreadable(error: unknown): StageError {
    const { code } = error as NodeJS.ErrnoException;
    return new StageError('SOURCE_UNREADABLE', `${this.#where}: expected a readable file (${code})`, {
      cause: error,
    });
  }

  decodeAgain = async (letters: readonly KeptRecord[]): Promise<RecordBatch> => this.#decoder.again(letters);

  warnings(): readonly string[] {
    return this.#warnings.splice(0);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#lines = undefined;
    await file?.close();
  }
}

/**
 * A source over lines of JSON in a file, a named pipe or standard input, which takes up to `memoryBytes`. Nothing is read
 * before `connect`.
 */
export function createNdjsonSource(
  options: NdjsonSourceOptions,
  baseDirectory = '.',
  memoryBytes = 2 ** 28,
): Source {
  // Two batches are held, each of bytes and of what they became, and one is read.
  const bytes = Math.min(options.batch.bytes, Math.floor(memoryBytes / 6));
  if (options.path === standardInput) return new PipeSource(options, standardInput, bytes);
  const path = resolve(baseDirectory, options.path);
  const isPipe = statSync(path, { throwIfNoEntry: false })?.isFIFO();
  return isPipe ? new PipeSource(options, path, bytes) : new NdjsonFile(options, path, bytes);
}
