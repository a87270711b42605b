import type {
  DeadLetter,
  Intake,
  KeptRecord,
  Position,
  Read,
  RecordBatch,
  SentOutcome,
  Source,
} from '../../src/contracts/index.js';
import { StageError } from '../../src/errors.js';
import { createJsonDecoder, type JsonDecoder } from '../../src/mapping/json-decoder.js';
import { Records } from '../../src/mapping/records.js';
import { Bell } from '../../src/runtime/bell.js';
import { type BodyRecord, bodyKind, mediaTypes } from './bodies.js';
import type { PushSourceOptions } from './options.js';

/** Records of one read, but for those of a single request, and how long a read waits for a request. */
const mostRecords = 25_000;
const waitMs = 1000;

/** A request whose sender waits. */
interface Request {
  readonly records: Records;
  /** Sequence numbers of its first record, and of its last. */
  readonly first: number;
  readonly last: number;
  readonly bytes: number;
  deadLetters: number;
  reason: string | undefined;
  answer(outcome: SentOutcome): void;
}

/**
 * A source of records that are sent by requests. Its one partition is `requests`; a record's sequence counts the records
 * that the state has taken. All of a request is in one read, and so in one transaction; its sender hears of it after that.
 * What is not in the state when the source closes was refused: its sender has to send it again.
 *
 * `#waiting` are the requests to be read, `#given` those of reads that are not acknowledged; all came after `connect`.
 */
class PushSource implements Source {
  readonly name: string;
  readonly readsAhead = true;
  readonly waits = true;
  readonly intake: Intake;
  readonly #options: PushSourceOptions;
  readonly #plain: JsonDecoder;
  /** Of CloudEvents, where the envelope is not another one. */
  readonly #cloudEvents: JsonDecoder | undefined;
  readonly #mostBytes: number;
  readonly #bell = new Bell();
  #open = false;
  #next = 0;
  #bytes = 0;
  #waiting: Request[] = [];
  readonly #given = new Set<Request>();

  constructor(options: PushSourceOptions, mostBytes: number) {
    const { name, token, maxRequestBytes, envelope } = options;
    this.name = name;
    this.#options = options;
    this.#plain = createJsonDecoder(options);
    const isOther = envelope !== undefined && envelope !== 'cloudevents';
    this.#cloudEvents = isOther ? undefined : createJsonDecoder({ ...options, envelope: 'cloudevents' });
    this.#mostBytes = mostBytes;
    this.intake = { token, maxRequestBytes, take: (type, body) => this.#take(type, body) };
  }

  async connect(positions: readonly Position[], state?: string): Promise<void> {
    this.#next = (positions.find(p => p.partition === 'requests')?.sequence ?? -1) + 1;
    this.#open = state !== undefined;
  }

  async #take(contentType: string, body: Buffer): Promise<SentOutcome> {
    if (!this.#open) return { kind: 'closed' };
    if (this.#bytes > 0 && this.#bytes + body.length > this.#mostBytes) return { kind: 'busy' };
    const kind = bodyKind(contentType);
    const decoder = kind?.cloudEvents ? this.#cloudEvents : this.#plain;
    if (!kind || !decoder) {
      const types = kind ? `records with the envelope ${this.#options.envelope}` : mediaTypes.join(', ');
      return { kind: 'foreign', reason: `content-type: expected ${types}, found ${contentType || 'none'}` };
    }
    let found: BodyRecord[];
    const records = new Records();
    try {
      found = kind.cut(body);
      this.#decode(found, kind.part, decoder, records);
    } catch (error) {
      if (!(error instanceof StageError)) throw error;
      return { kind: 'faulty', reason: error.message };
    }
    if (found.length === 0) return { kind: 'taken', records: 0, deadLetters: 0 };
    return new Promise(answer => {
      const first = this.#next;
      this.#next += found.length;
      this.#bytes += body.length;
      const [deadLetters, reason] = [0, undefined];
      const [last, bytes] = [this.#next - 1, body.length];
      this.#waiting.push({ records, first, last, bytes, deadLetters, reason, answer });
      this.#bell.ring();
    });
  }

  /** Decodes the records of a body; throws `USAGE` for the first that is no JSON: its sender is there to hear of it. */
  #decode(found: readonly BodyRecord[], part: string, decoder: JsonDecoder, records: Records): void {
    const now = Date.now();
    for (const [k, { bytes, number }] of found.entries()) {
      decoder.decode(bytes, this.#next + k, now, records);
      const rejection = records.rejected.get(records.length - 1);
      if (rejection?.code === 'json-invalid')
        throw new StageError('USAGE', `${part} ${number}: ${rejection.reason}`);
    }
  }

  async read(signal?: AbortSignal): Promise<Read | undefined> {
    if (this.#waiting.length === 0) await this.#bell.wait(waitMs, signal);
    const [first] = this.#waiting;
    if (!first || signal?.aborted) return undefined;
    let count = 0;
    const requests: Request[] = [];
    for (const request of this.#waiting) {
      count += request.records.length;
      if (requests.length > 0 && count > mostRecords) break;
      requests.push(request);
      if (request !== first) first.records.add(request.records);
    }
    this.#waiting = this.#waiting.slice(requests.length);
    for (const request of requests) this.#given.add(request);
    const position = { partition: 'requests', sequence: requests.at(-1)!.last };
    const records = this.#plain.batch('requests', first.records);
    return { batches: [{ records, position }], ack: async () => this.#acknowledge(requests) };
  }

  #acknowledge(requests: readonly Request[]): void {
    for (const request of requests) {
      if (!this.#given.delete(request)) continue;
      this.#bytes -= request.bytes;
      const { first, last, deadLetters, reason } = request;
      const records = last - first + 1;
      request.answer({ kind: 'taken', records, deadLetters, ...(reason === undefined ? {} : { reason }) });
    }
  }

  /** Remembers dead letters for the answers to their senders. */
  async reject(dead: readonly DeadLetter[]): Promise<void> {
    for (const { sequence, reason } of dead)
      for (const request of this.#given) {
        if (sequence < request.first || sequence > request.last) continue;
        request.deadLetters++;
        request.reason ??= reason;
      }
  }

  decodeAgain = async (letters: readonly KeptRecord[]): Promise<RecordBatch> => this.#plain.again(letters);

  async close(): Promise<void> {
    this.#open = false;
    for (const request of [...this.#given, ...this.#waiting]) request.answer({ kind: 'closed' });
    this.#given.clear();
    this.#waiting = [];
    this.#bytes = 0;
  }
}

/** A source of records that others send; those that wait take up to a sixth of `memoryBytes`. */
export const createPushSource = (options: PushSourceOptions, memoryBytes = 2 ** 28): Source =>
  new PushSource(options, Math.min(options.maxWaitingBytes, Math.floor(memoryBytes / 6)));
