import {
  bindings,
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBDataChunk,
  INTEGER,
} from './client.js';
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

/** Rows on their way into a table, a chunk at a time: histories may be long, so none is a list of numbers. */
class RowAppender {
  readonly #appender: DuckDBAppender;
  readonly #chunk = DuckDBDataChunk.create([INTEGER, INTEGER, INTEGER, DOUBLE, DOUBLE, DOUBLE]);
  readonly ints = [0, 1, 2].map(() => new Int32Array(chunkRows));
  readonly doubles = [0, 1, 2].map(() => new Float64Array(chunkRows));
  #rows = 0;

  constructor(appender: DuckDBAppender) {
    this.#appender = appender;
  }

  /** The place of the next row in `ints` and `doubles`. */
  next(): number {
    if (this.#rows === chunkRows) this.flush();
    return this.#rows++;
  }

  flush(): void {
    if (this.#rows === 0) return;
    this.#chunk.reset();
    this.#chunk.rowCount = this.#rows;
    [...this.ints, ...this.doubles].forEach((column, c) => {
      const vector = bindings.data_chunk_get_vector(this.#chunk.chunk, c);
      bindings.copy_data_to_vector(
        vector,
        0,
        column.buffer as ArrayBuffer,
        0,
        column.BYTES_PER_ELEMENT * this.#rows,
      );
    });
    this.#appender.appendDataChunk(this.#chunk);
    this.#rows = 0;
  }
}

/** Appends the rows of a user's block; with `items`, those of them alone. */
function appendBlock(
  rows: RowAppender,
  user: number,
  block: Uint8Array,
  items: ReadonlySet<number> | undefined,
): void {
  const d = block.length / rowBytes;
  const own = new Uint8Array(block); // aligned, which a part of a buffer need not be
  const doubles = new Float64Array(own.buffer, 0, 3 * d);
  const ints = new Int32Array(own.buffer, 24 * d, 2 * d);
  for (let r = 0; r < d; r++) {
    if (items && !items.has(ints[r]!)) continue;
    const at = rows.next();
    rows.ints[0]![at] = user;
    for (let c = 0; c < 2; c++) rows.ints[c + 1]![at] = ints[c * d + r]!;
    for (let c = 0; c < 3; c++) rows.doubles[c]![at] = doubles[c * d + r]!;
  }
}

/** Makes the temporary table `known`, like `interactions`, of the blocks of users; with `items`, of their rows alone. */
export async function unpackHistories(
  connection: DuckDBConnection,
  users: readonly number[],
  blocks: readonly Uint8Array[],
  items?: ReadonlySet<number>,
): Promise<void> {
  await connection.run(
    'CREATE OR REPLACE TEMP TABLE unpacked (u INTEGER, i INTEGER, flags INTEGER, v DOUBLE, t DOUBLE, s DOUBLE)',
  );
  const appender = await connection.createAppender('unpacked', undefined, 'temp');
  try {
    const rows = new RowAppender(appender);
    blocks.forEach((block, k) => void appendBlock(rows, users[k]!, block, items));
    rows.flush();
  } finally {
    appender.closeSync();
  }
  await connection.run(`CREATE OR REPLACE TEMP TABLE known AS
    SELECT u AS "user", i AS item, flags % 2 = 1 AS reset, v::BIGINT AS value, t::BIGINT AS ts, flags // 2 AS channel,
      s::BIGINT AS sequence FROM unpacked`);
  await connection.run('DROP TABLE unpacked');
}
