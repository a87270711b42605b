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

type Column = readonly (string | null)[] | Int32Array | Uint8Array | Float64Array;

/** Between the values of a column: no identifier that was validated contains it. */
const separator = '\ufffd';

/**
 * Appends events to the inbox, numbered from `seq + 1`; part of the caller's transaction. Each column goes over as one
 * text that DuckDB splits in a thread of its own: that takes this thread a third of what handing over value by value does.
 */
export async function appendEvents(
  connection: DuckDBConnection,
  placed: readonly Placed[],
  seq: number,
): Promise<void> {
  const batches = placed.filter(({ events, from }) => from < events.length);
  if (batches.length === 0) return;
  const texts: string[] = [];
  const column = (pick: (events: EventColumns) => Column): string => {
    const parts = batches.map(({ events, from }) => {
      const values = pick(events);
      return (
        from === 0 && values.length === events.length ? values : values.slice(from, events.length)
      ).join(separator);
    });
    texts.push(parts.join(separator));
    return `unnest(string_split($${texts.length}, '${separator}'))`;
  };
  const channels = batches.map(({ events, from, channel }) =>
    Array(events.length - from)
      .fill(channel)
      .join(separator),
  );
  texts.push(channels.join(separator));
  const named = batches.some(({ events }) => events.id.some(id => id !== null));
  await connection.run(
    `INSERT INTO inbox SELECT ${seq} + row_number() OVER (), channel::INTEGER, sequence::BIGINT, "user", item,
       weight::INTEGER, op::UTINYINT, ts::BIGINT, ${named ? "nullif(id, '')" : 'NULL'}
     FROM (SELECT unnest(string_split($1, '${separator}')) AS channel, ${column(e => e.sequence)} AS sequence,
       ${column(e => e.user)} AS "user", ${column(e => e.item)} AS item, ${column(e => e.weight)} AS weight,
       ${column(e => e.op)} AS op, ${column(e => e.ts)} AS ts ${named ? `, ${column(e => e.id)} AS id` : ''})`,
    texts,
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
