import { DOUBLE, type DuckDBConnection, DuckDBDataChunk, INTEGER } from './client.js';
import { streamRows } from './database.js';
import { doublesIn, integersIn } from './rows.js';

/** Bytes of a row: item and channel with the reset flag as Int32; value, time and sequence as Float64. */
const rowBytes = 32;
const chunkRows = 2048;

interface Part {
  readonly ints: readonly Int32Array[];
  readonly doubles: readonly Float64Array[];
}

/** The rows of a user, column by column: the doubles first, so that they are aligned. */
function packed(parts: readonly Part[]): Uint8Array {
  const d = parts.reduce((sum, p) => sum + p.ints[0]!.length, 0);
  const bytes = new Uint8Array(rowBytes * d);
  const doubles = new Float64Array(bytes.buffer, 0, 3 * d);
  const ints = new Int32Array(bytes.buffer, 24 * d, 2 * d);
  let at = 0;
  for (const p of parts) {
    p.doubles.forEach((x, c) => void doubles.set(x, c * d + at));
    p.ints.forEach((x, c) => void ints.set(x, c * d + at));
    at += p.ints[0]!.length;
  }
  return bytes;
}

/** The rows of `table`, which lie by ascending user, as a block for each user that has some: number `user` − `first`. */
export async function* packHistories(
  connection: DuckDBConnection,
  table: string,
  first: number,
): AsyncGenerator<[number, Uint8Array]> {
  const sql = `SELECT "user", item, (2 * channel + reset::INTEGER)::INTEGER, value::DOUBLE, ts::DOUBLE, sequence::DOUBLE
    FROM ${table}`;
  let [user, parts]: [number, Part[]] = [-1, []];
  for await (const part of streamRows(connection, sql, 6)) {
    const users = integersIn(part, 0);
    const ints = [1, 2].map(c => integersIn(part, c));
    const doubles = [3, 4, 5].map(c => doublesIn(part, c));
    for (let from = 0, to = 0; from < part.rows; from = to) {
      while (to < part.rows && users[to] === users[from]) to++;
      if (users[from] !== user && parts.length > 0) {
        yield [user - first, packed(parts)];
        parts = [];
      }
      if (users[from]! < user) throw new Error(`${table}: expected rows by ascending user`);
      user = users[from]!;
      // The chunk is gone when the next one comes.
      parts.push({ ints: ints.map(x => x.slice(from, to)), doubles: doubles.map(x => x.slice(from, to)) });
    }
  }
  if (parts.length > 0) yield [user - first, packed(parts)];
}

/** Makes the temporary table `known`, like `interactions`, of the blocks of users; with `items`, of their rows alone. */
export async function unpackHistories(
  connection: DuckDBConnection,
  users: readonly number[],
  blocks: readonly Uint8Array[],
  items?: ReadonlySet<number>,
): Promise<void> {
  const columns: number[][] = [[], [], [], [], [], []];
  blocks.forEach((block, k) => {
    const d = block.length / rowBytes;
    const own = new Uint8Array(block); // aligned, which a part of a buffer need not be
    const doubles = new Float64Array(own.buffer, 0, 3 * d);
    const ints = new Int32Array(own.buffer, 24 * d, 2 * d);
    for (let r = 0; r < d; r++) {
      if (items && !items.has(ints[r]!)) continue;
      columns[0]!.push(users[k]!);
      for (let c = 0; c < 2; c++) columns[c + 1]!.push(ints[c * d + r]!);
      for (let c = 0; c < 3; c++) columns[c + 3]!.push(doubles[c * d + r]!);
    }
  });
  await connection.run(
    'CREATE OR REPLACE TEMP TABLE unpacked (u INTEGER, i INTEGER, flags INTEGER, v DOUBLE, t DOUBLE, s DOUBLE)',
  );
  const appender = await connection.createAppender('unpacked', undefined, 'temp');
  try {
    for (let from = 0; from < columns[0]!.length; from += chunkRows) {
      const part = columns.map(c => c.slice(from, from + chunkRows));
      const types = [INTEGER, INTEGER, INTEGER, DOUBLE, DOUBLE, DOUBLE];
      const chunk = DuckDBDataChunk.create(types, part[0]!.length);
      chunk.setColumns(part);
      appender.appendDataChunk(chunk);
    }
  } finally {
    appender.closeSync();
  }
  await connection.run(`CREATE OR REPLACE TEMP TABLE known AS
    SELECT u AS "user", i AS item, flags % 2 = 1 AS reset, v::BIGINT AS value, t::BIGINT AS ts, flags // 2 AS channel,
      s::BIGINT AS sequence FROM unpacked`);
  await connection.run('DROP TABLE unpacked');
}
