import type { DeadLetter, EventColumns } from '../../src/contracts/index.js';
import {
  BIGINT,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBTimestampValue,
  INTEGER,
  TIMESTAMP,
  UBIGINT,
  VARCHAR,
} from './client.js';
import type { FileEvents, Place } from './file-events.js';

/** Rows of a DuckDB data chunk. */
const chunkRows = 2048;
const deadTypes = [VARCHAR, VARCHAR, BIGINT, VARCHAR, VARCHAR, VARCHAR, VARCHAR, TIMESTAMP];

/** Events `from …` of a batch, which go under the number `channel`. */
export interface Placed extends Place {
  readonly events: EventColumns;
  readonly from: number;
  /** Other events of the batch, between them: then all are numbered by their place among the rows. */
  readonly decoded?: FileEvents | undefined;
}

/** Between the values of a column: no identifier that was validated contains it. */
const separator = '\ufffd';

/**
 * Whole numbers: the least, and the distances from it as text, which are short. Without text, all are the same, or,
 * with `consecutive`, each is one more than the one before.
 */
interface Numbers {
  readonly least: number;
  readonly text: string | null;
}

function numbers(values: Int32Array | Uint8Array | Float64Array, consecutive = false): Numbers {
  const first = values[0]!;
  let [least, most] = [first, first];
  let regular = true;
  for (let k = 1; k < values.length; k++) {
    const x = values[k]!;
    if (x !== (consecutive ? first + k : first)) regular = false;
    if (x < least) least = x;
    if (x > most) most = x;
  }
  if (regular) return { least: first, text: null };
  if (most - least > Number.MAX_SAFE_INTEGER) least = 0;
  const distances = new Array<number>(values.length);
  for (let k = 0; k < values.length; k++) distances[k] = values[k]! - least;
  return { least, text: distances.join(separator) };
}

/** Text that DuckDB splits in a thread of its own: this thread takes a third of what value by value takes it. */
const texts = (values: readonly (string | null)[], from: number): string =>
  (from === 0 ? values : values.slice(from)).join(separator);

/** The columns of a batch that may come as text; a batch whose column is regular has none. */
const textColumns = ['sequence', 'user', 'item', 'weight', 'op', 'ts', 'id'] as const;

/** A batch as one row of `VALUES`. */
interface Row {
  readonly numbers: readonly number[];
  readonly texts: readonly (string | null)[];
}

function rowOf({ events, from, decoded, channel, seq }: Placed): Row {
  const to = events.length;
  const sequence = numbers(events.sequence.subarray(from, to), true);
  const weight = numbers(events.weight.subarray(from, to));
  const op = numbers(events.op.subarray(from, to));
  const ts = numbers(events.ts.subarray(from, to));
  const id = events.id.some(x => x !== null) ? texts(events.id, from) : null;
  const first = seq + 1 + (decoded ? sequence.least - decoded.first : 0);
  return {
    numbers: [first, decoded ? 1 : 0, channel, to - from, sequence.least, weight.least, op.least, ts.least],
    texts: [
      sequence.text,
      texts(events.user, from),
      texts(events.item, from),
      weight.text,
      op.text,
      ts.text,
      id,
    ],
  };
}

/** Appends events to the inbox in one statement; part of the caller's transaction. */
export async function appendEvents(connection: DuckDBConnection, placed: readonly Placed[]): Promise<void> {
  const rows = placed.filter(p => p.events.length > p.from).map(rowOf);
  if (rows.length === 0) return;
  // What no batch has as text is not split.
  const given = textColumns.flatMap((name, c) => (rows.some(r => r.texts[c] !== null) ? [{ name, c }] : []));
  const split = (name: (typeof textColumns)[number]): string =>
    given.some(g => g.name === name) ? `${name}_text` : 'NULL';
  const distance = `coalesce(${split('sequence')}::BIGINT, k)`;
  let parameter = 0;
  const values = rows.map(r => [...r.numbers, ...given.map(() => `$${++parameter}::VARCHAR`)].join());
  await connection.run(
    `INSERT INTO inbox SELECT seq + CASE by_place WHEN 1 THEN ${distance} ELSE k END, channel, sequence + ${distance},
       ${split('user')}, ${split('item')}, weight + coalesce(${split('weight')}::BIGINT, 0), op + coalesce(${split('op')}::BIGINT, 0),
       ts + coalesce(${split('ts')}::BIGINT, 0), nullif(${split('id')}, '')
     FROM (SELECT seq, by_place, channel, sequence, weight, op, ts, unnest(range(size)) AS k,
         ${given.map(({ name }) => `unnest(string_split(${name}_all, '${separator}')) AS ${name}_text`).join()}
       FROM (VALUES (${values.join('), (')}))
         batches(seq, by_place, channel, size, sequence, weight, op, ts, ${given.map(({ name }) => `${name}_all`).join()}))`,
    rows.flatMap(r => given.map(({ c }) => r.texts[c]!)),
  );
}

/** Appends dead letters; part of the caller's transaction. */
export async function appendDeadLetters(
  connection: DuckDBConnection,
  source: string,
  dead: readonly DeadLetter[],
): Promise<void> {
  if (dead.length === 0) return;
  const at = new DuckDBTimestampValue(BigInt(Date.now()) * 1000n);
  const appender = await connection.createAppender('dead_letters');
  try {
    for (let from = 0; from < dead.length; from += chunkRows) {
      const rows = dead.slice(from, from + chunkRows);
      const chunk = DuckDBDataChunk.create(deadTypes, rows.length);
      chunk.setColumns([
        rows.map(() => source),
        rows.map(d => d.partition),
        rows.map(d => BigInt(d.sequence)),
        rows.map(d => d.code),
        rows.map(d => d.reason.toWellFormed()),
        rows.map(d => d.user ?? null),
        rows.map(d => d.raw.replaceAll('\0', '\u2400').toWellFormed()),
        rows.map(() => at),
      ]);
      appender.appendDataChunk(chunk);
    }
  } finally {
    appender.closeSync();
  }
}

/** Appends marks of a channel; part of the caller's transaction. */
export async function appendMarks(
  connection: DuckDBConnection,
  channel: number,
  marks: BigUint64Array,
): Promise<void> {
  if (marks.length === 0) return;
  const appender = await connection.createAppender('marks');
  try {
    for (let from = 0; from < marks.length; from += chunkRows) {
      const part = [...marks.subarray(from, from + chunkRows)];
      const chunk = DuckDBDataChunk.create([INTEGER, UBIGINT], part.length);
      chunk.setColumns([part.map(() => channel), part]);
      appender.appendDataChunk(chunk);
    }
  } finally {
    appender.closeSync();
  }
}
