import type { DecodedEvents } from '../../src/contracts/index.js';
import {
  BIGINT,
  bindings,
  type DuckDBConnection,
  DuckDBDataChunk,
  INTEGER,
  UTINYINT,
  VARCHAR,
} from './client.js';
import { eventColumns } from './judge.js';
import { bytesIn, validityIn } from './rows.js';
import { type Run, surelyEvents, type TakenRows } from './taken.js';

/** Columns of the inbox, and the bytes of a value. A text is 16 bytes, with a pointer into its chunk where it is long. */
const inboxTypes = [BIGINT, INTEGER, BIGINT, VARCHAR, VARCHAR, INTEGER, UTINYINT, BIGINT, VARCHAR];
const shapes = {
  user: ['VARCHAR', 16],
  item: ['VARCHAR', 16],
  weight: ['INTEGER', 4],
  op: ['UTINYINT', 1],
  ts: ['BIGINT', 8],
  id: ['VARCHAR', 16],
} as const;
const firstOfEvent = inboxTypes.length - eventColumns.length;

/** Events that SQL has decoded, in the chunks of the query that did. */
export class EventChunks implements DecodedEvents {
  readonly system = 'duckdb';
  readonly length: number;
  /** Sequence number of the first row, event or not; each row has one more than the one before. */
  readonly first: number;
  readonly rows: TakenRows;

  /** The rows but the `unsure` ones. */
  constructor(rows: TakenRows, first: number, unsure: number) {
    this.rows = rows;
    this.first = first;
    this.length = rows.count - unsure;
  }
}

/** Where events go. */
export interface Place {
  readonly channel: number;
  /** The number of the event before them. */
  readonly seq: number;
  /** Sequence number up to which they are stored already. */
  readonly stored: number;
}

/** What `channel`, `seq` and `sequence` are of row 0 of a chunk; those of the others grow with it. */
interface Numbering {
  readonly channel: number;
  readonly seq: number;
  readonly sequence: number;
}

/** The ranges of rows of a run that are surely events. */
function sureRanges(flags: Uint8Array, from: number, to: number): (readonly [from: number, to: number])[] {
  const ranges: (readonly [number, number])[] = [];
  for (let r = from; r < to; ) {
    const start = flags.indexOf(1, r);
    if (start < 0 || start >= to) break;
    const end = flags.indexOf(0, start);
    r = end < 0 ? to : Math.min(end, to);
    ranges.push([start, r]);
  }
  return ranges;
}

/** The rows of a run that are surely events, as a chunk of the inbox. Its texts end with the chunk they come from. */
function inboxChunk({ chunk, from, to }: Run, sure: number, row0: Numbering): DuckDBDataChunk | undefined {
  const part = { chunk, rows: to };
  const ranges = sureRanges(surelyEvents(part, sure), from, to);
  const size = ranges.reduce((sum, [a, b]) => sum + b - a, 0);
  if (size === 0) return undefined;
  const made = DuckDBDataChunk.create(inboxTypes, size);
  const vector = (c: number) => bindings.data_chunk_get_vector(made.chunk, c);
  const put = (c: number, at: number, bytes: Uint8Array) =>
    bindings.copy_data_to_vector(
      vector(c),
      at,
      bytes.buffer as ArrayBuffer,
      bytes.byteOffset,
      bytes.byteLength,
    );
  const numbers = new BigInt64Array(size);
  for (const [c, least] of [
    [0, row0.seq],
    [2, row0.sequence],
  ] as const) {
    let at = 0;
    for (const [a, b] of ranges) for (let r = a; r < b; r++) numbers[at++] = BigInt(least + r);
    put(c, 0, new Uint8Array(numbers.buffer));
  }
  put(1, 0, new Uint8Array(new Int32Array(size).fill(row0.channel).buffer));
  eventColumns.forEach((name, c) => {
    const [type, width] = shapes[name];
    const bytes = bytesIn(part, c, type, width);
    let at = 0;
    for (const [a, b] of ranges) {
      put(firstOfEvent + c, at * width, bytes.subarray(a * width, b * width));
      at += b - a;
    }
  });
  const ids = eventColumns.indexOf('id');
  const valid = validityIn(part, ids);
  if (!valid) return made;
  const bits = new Uint8Array(8 * Math.ceil(size / 64));
  let at = 0;
  for (const [a, b] of ranges)
    for (let r = a; r < b; r++, at++) if ((valid[r >> 3]! >> (r & 7)) & 1) bits[at >> 3]! |= 1 << (at & 7);
  const target = vector(firstOfEvent + ids);
  bindings.vector_ensure_validity_writable(target);
  bindings.copy_data_to_vector_validity(target, 0, bits.buffer, 0, bits.byteLength);
  return made;
}

/**
 * Appends events to the inbox without a look at them; part of the caller's transaction. Row k of theirs gets the number
 * `seq + 1 + k`; rows at or before the sequence number `stored` are left out. Returns how many events it added.
 */
export async function appendChunks(
  connection: DuckDBConnection,
  { rows, first }: EventChunks,
  { channel, seq, stored }: Place,
): Promise<number> {
  let added = 0;
  const appender = await connection.createAppender('inbox');
  try {
    for (const run of rows.runs) {
      const skipped = Math.max(0, Math.min(run.to - run.from, stored + 1 - first - run.first));
      const before = run.first - run.from;
      const row0 = { channel, seq: seq + 1 + before, sequence: first + before };
      const chunk = inboxChunk({ ...run, from: run.from + skipped }, rows.layout.sure!, row0);
      if (!chunk) continue;
      appender.appendDataChunk(chunk);
      added += chunk.rowCount;
    }
  } finally {
    appender.closeSync();
  }
  return added;
}
