import {
  BIGINT,
  type DuckDBConnection,
  DuckDBDataChunk,
  DuckDBTimestampValue,
  TIMESTAMP,
  VARCHAR,
} from '@duckdb/node-api';
import type { DeadLetter, EventColumns } from '../../src/connector.js';

/** Rows of a DuckDB data chunk. */
const chunkRows = 2048;
const deadTypes = [VARCHAR, VARCHAR, BIGINT, VARCHAR, VARCHAR, VARCHAR, VARCHAR, TIMESTAMP];

/** Events `from …` of a batch, which go under the number `channel`. */
export interface Placed {
  readonly events: EventColumns;
  readonly from: number;
  readonly channel: number;
}

/** Between the values of a column: no identifier that was validated contains it. */
const separator = '\ufffd';

/** A column's values as SQL, with `$` for the text that it takes, if any. */
interface Expression {
  readonly sql: string;
  readonly text?: string;
}

/** Text that DuckDB splits in a thread of its own: this thread takes a third of what value by value takes it. */
const texts = (values: readonly (string | null)[]): Expression => ({
  sql: `unnest(string_split($, '${separator}'))`,
  text: values.join(separator),
});

/** Whole numbers: the one that all are, consecutive ones, or their distances from the least, which are short. */
function numbers(values: Int32Array | Uint8Array | Float64Array): Expression {
  const first = values[0]!;
  let [least, most, same, consecutive] = [first, first, true, true];
  for (let k = 1; k < values.length; k++) {
    const x = values[k]!;
    if (x !== first) same = false;
    if (x !== first + k) consecutive = false;
    if (x < least) least = x;
    if (x > most) most = x;
  }
  if (same) return { sql: `${first}` };
  if (consecutive) return { sql: `unnest(range(${first}, ${first + values.length}))` };
  if (most - least > Number.MAX_SAFE_INTEGER) least = 0;
  const distances = new Array<number>(values.length);
  for (let k = 0; k < values.length; k++) distances[k] = values[k]! - least;
  return {
    sql: `${least} + unnest(string_split($, '${separator}'))::BIGINT`,
    text: distances.join(separator),
  };
}

/** Appends events to the inbox, numbered from `seq + 1`; part of the caller's transaction. */
export async function appendEvents(
  connection: DuckDBConnection,
  placed: readonly Placed[],
  seq: number,
): Promise<void> {
  for (const { events, from, channel } of placed) {
    const to = events.length;
    if (from >= to) continue;
    const rest = <T>(values: readonly T[]): readonly T[] => (from === 0 ? values : values.slice(from));
    const columns = [
      numbers(events.sequence.subarray(from, to)),
      texts(rest(events.user)),
      texts(rest(events.item)),
      numbers(events.weight.subarray(from, to)),
      numbers(events.op.subarray(from, to)),
      numbers(events.ts.subarray(from, to)),
      events.id.some(id => id !== null) ? texts(rest(events.id)) : { sql: "''" },
    ];
    let given = 0;
    const [sequence, user, item, weight, op, ts, id] = columns.map(({ sql, text }) =>
      text === undefined ? sql : sql.replace('$', `$${++given}`),
    );
    await connection.run(
      `INSERT INTO inbox SELECT seq, ${channel}, sequence, "user", item, weight, op, ts, nullif(id, '')
       FROM (SELECT unnest(range(${seq + 1}, ${seq + 1 + to - from})) AS seq, ${sequence} AS sequence, ${user} AS "user",
         ${item} AS item, ${weight} AS weight, ${op} AS op, ${ts} AS ts, ${id} AS id)`,
      columns.flatMap(c => c.text ?? []),
    );
    seq += to - from;
  }
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
