import {
  BIGINT,
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  type DuckDBTimestampValue,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  TIMESTAMP,
  UTINYINT,
  VARCHAR,
} from '@duckdb/node-api';
import type { DeadLetter, EventColumns } from '../../src/connector.js';

/** Rows of a DuckDB data chunk. */
const chunkRows = 2048;
const deadTypes = [VARCHAR, VARCHAR, BIGINT, VARCHAR, VARCHAR, VARCHAR, VARCHAR, TIMESTAMP];
/** Whole numbers go in as DOUBLE, which DuckDB casts to the BIGINT of the table much faster than JavaScript makes big integers. */
const inboxTypes = [DOUBLE, INTEGER, DOUBLE, VARCHAR, VARCHAR, INTEGER, UTINYINT, DOUBLE, VARCHAR];

/** Events `from …` of a batch, which go under the number `channel`. */
export interface Placed {
  readonly events: EventColumns;
  readonly from: number;
  readonly channel: number;
}

/** Fills chunks of one shape column by column and appends each as it is full. */
function chunkWriter(appender: DuckDBAppender, types: readonly DuckDBType[]) {
  let chunk = DuckDBDataChunk.create(types, chunkRows);
  let rows = 0;

  function flush(): void {
    if (rows === 0) return;
    for (let c = 0; c < types.length; c++) chunk.getColumnVector(c).flush();
    if (rows < chunkRows) chunk.rowCount = rows;
    appender.appendDataChunk(chunk);
    chunk = DuckDBDataChunk.create(types, chunkRows);
    rows = 0;
  }

  return {
    flush,
    /** Takes rows `from … to − 1`; `columns[c](k)` is the value of row k in column c. */
    write(from: number, to: number, columns: readonly ((k: number) => DuckDBValue)[]): void {
      while (from < to) {
        const take = Math.min(to - from, chunkRows - rows);
        columns.forEach((value, c) => {
          const vector = chunk.getColumnVector(c);
          for (let r = 0; r < take; r++) vector.setItem(rows + r, value(from + r));
        });
        rows += take;
        from += take;
        if (rows === chunkRows) flush();
      }
    },
  };
}

/** Runs `body` with a writer of `table`; part of the caller's transaction. */
async function appending(
  connection: DuckDBConnection,
  table: string,
  types: readonly DuckDBType[],
  body: (writer: ReturnType<typeof chunkWriter>) => void,
): Promise<void> {
  const appender = await connection.createAppender(table);
  try {
    const writer = chunkWriter(appender, types);
    body(writer);
    writer.flush();
  } finally {
    appender.closeSync();
  }
}

/** Appends events to the inbox, numbered from `seq + 1`; part of the caller's transaction. */
export async function appendEvents(
  connection: DuckDBConnection,
  placed: readonly Placed[],
  seq: number,
): Promise<void> {
  if (placed.every(({ events, from }) => from >= events.length)) return;
  await appending(connection, 'inbox', inboxTypes, writer => {
    for (const { events, from, channel } of placed) {
      const first = seq + 1 - from;
      writer.write(from, events.length, [
        k => first + k,
        () => channel,
        k => events.sequence[k]!,
        k => events.user[k]!,
        k => events.item[k]!,
        k => events.weight[k]!,
        k => events.op[k]!,
        k => events.ts[k]!,
        k => events.id[k]!,
      ]);
      seq += events.length - from;
    }
  });
}

/** Appends dead letters; part of the caller's transaction. */
export async function appendDeadLetters(
  connection: DuckDBConnection,
  source: string,
  dead: readonly DeadLetter[],
  at: DuckDBTimestampValue,
): Promise<void> {
  if (dead.length === 0) return;
  await appending(connection, 'dead_letters', deadTypes, writer =>
    writer.write(0, dead.length, [
      () => source,
      k => dead[k]!.partition,
      k => BigInt(dead[k]!.sequence),
      k => dead[k]!.code,
      k => dead[k]!.reason.toWellFormed(),
      k => dead[k]!.user ?? null,
      k => dead[k]!.raw.replaceAll('\0', '\u2400').toWellFormed(),
      () => at,
    ]),
  );
}
