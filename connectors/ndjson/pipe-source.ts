import type { KeptRecord, Position, Read, RecordBatch, Source } from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { createJsonDecoder, type JsonDecoder } from '../../src/mapping/json-decoder.js';
import { Records } from '../../src/mapping/records.js';
import { Lines } from './lines.js';
import { type NdjsonSourceOptions, standardInput } from './options.js';
import { Pipe } from './pipe.js';

/** How long a reader waits for a first line before it says that there is none now. */
const patienceMs = 1000;

/**
 * A source over lines from a pipe, which cannot be read again. Its one partition is `lines`; a line's sequence counts the
 * lines that the state has taken. What was read and is not in the state is kept, and given again after a failure; a crash
 * loses it, and its writer has to send it once more: the ids of events make that harmless.
 *
 * `#given` holds the reads that were not acknowledged, the oldest first; the next `#again` of them are to be given again.
 */
export class PipeSource implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly #options: NdjsonSourceOptions;
  readonly #path: string;
  readonly #where: string;
  readonly #decoder: JsonDecoder;
  readonly #batchBytes: number;
  readonly #lines: Lines;
  #pipe: Pipe | undefined;
  #given: Read[] = [];
  #again: Read[] = [];
  #next: number | undefined;
  /** Whether nobody takes in what is read: a pipe is not read to be looked at. */
  #looks = false;

  constructor(options: NdjsonSourceOptions, path: string, batchBytes: number) {
    this.name = options.name;
    this.#options = options;
    this.#path = path;
    this.#where = `source ${options.name}: ${path === standardInput ? 'standard input' : path}`;
    this.#decoder = createJsonDecoder(options);
    this.#batchBytes = batchBytes;
    this.#lines = new Lines(options.maxRecordBytes, 0);
  }

  /** Standard input ends; a named pipe waits for its next writer. */
  get ended(): boolean | undefined {
    return this.#path === standardInput && !this.#looks ? (this.#pipe?.ended ?? false) : undefined;
  }

  get waits(): boolean {
    return !this.ended;
  }

  async connect(positions: readonly Position[], state?: string): Promise<void> {
    this.#looks = state === undefined;
    if (this.#looks) return;
    const stored = positions.find(p => p.partition === 'lines')?.sequence ?? -1;
    this.#given = this.#given.filter(r => r.batches[0]!.position.sequence > stored);
    this.#again = [...this.#given];
    this.#next ??= stored + 1;
    try {
      this.#pipe ??= new Pipe(this.#path);
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    const before = this.#again.shift();
    if (before) return before;
    if (this.#looks) return undefined;
    const { records, bytes } = { records: this.#options.batch.records, bytes: this.#batchBytes };
    const columns = new Records();
    let [taken, size, deadline] = [0, 0, Date.now() + patienceMs];
    while (taken < records && size < bytes) {
      const line = this.#lines.next()?.bytes ?? (await this.#more(deadline - Date.now(), signal));
      if (line === undefined) break;
      if (line.length === 0) continue;
      if (taken++ === 0) deadline = Date.now() + this.#options.batch.waitMs;
      size += line.length;
      this.#decoder.decode(line, this.#next!++, Date.now(), columns);
    }
    if (taken === 0) return undefined;
    const position = { partition: 'lines', sequence: this.#next! - 1 };
    const read: Read = {
      batches: [{ records: this.#decoder.batch('lines', columns), position }],
      ack: async () => {
        this.#given = this.#given.filter(r => r !== read);
      },
    };
    this.#given.push(read);
    return read;
  }

  /** Adds bytes and returns an empty line; at the end of the pipe the line that waits, if there is one. */
  async #more(ms: number, signal?: AbortSignal): Promise<Buffer | undefined> {
    const chunk = await this.#pipe!.next(ms, signal).catch(error => {
      throw this.#unreadable(error);
    });
    if (chunk) this.#lines.add(chunk);
    else return this.#pipe!.ended && this.#lines.waiting > 0 ? this.#lines.last().bytes : undefined;
    return empty;
  }

  #unreadable(error: unknown): StageError {
    const { code } = error as NodeJS.ErrnoException;
    return new StageError('SOURCE_UNREADABLE', `${this.#where}: expected a readable pipe (${code})`, {
      cause: error,
    });
  }

  decodeAgain = async (letters: readonly KeptRecord[]): Promise<RecordBatch> => this.#decoder.again(letters);

  /** The pipe stays open: see `Pipe`. */
  async close(): Promise<void> {}
}

const empty = Buffer.alloc(0);
