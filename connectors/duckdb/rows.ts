import type { Type } from '@duckdb/node-bindings';
import type { TimedRows } from '../../src/evaluate/split.js';
import type { Rows } from '../../src/matrix/rows.js';
import { bindings, type DuckDBConnection } from './client.js';
import { all, heldRows, type RowChunk, streamRows } from './database.js';

/** A typed array that grows as it is filled. */
class Growing<A extends Int32Array | Float64Array = Int32Array> {
  array: A;
  length = 0;
  constructor(
    capacity: number,
    readonly make: (length: number) => A,
  ) {
    this.array = make(capacity);
  }
  push(value: number): void {
    this.#reserve(1);
    this.array[this.length++] = value;
  }
  append(values: A): void {
    this.#reserve(values.length);
    this.array.set(values, this.length);
    this.length += values.length;
  }
  #reserve(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.array.length) return;
    const larger = this.make(Math.max(1024, wanted, Math.ceil(this.length * 1.5)));
    larger.set(this.array);
    this.array = larger;
  }
  /** What was pushed, in a buffer of its own size. */
  finish(): A {
    return this.length === this.array.length ? this.array : (this.array.slice(0, this.length) as A);
  }
}

const integers = (capacity: number, shared = false) =>
  new Growing<Int32Array>(capacity, length =>
    shared ? new Int32Array(new SharedArrayBuffer(4 * length)) : new Int32Array(length),
  );

/**
 * Column c of a chunk as it lies there, until the next chunk; it has no NULLs. To ask for its values one by one takes
 * longer than the query.
 */
function column({ chunk, rows }: RowChunk, c: number, type: Type, width: number): Uint8Array {
  const vector = bindings.data_chunk_get_vector(chunk.chunk, c);
  const found = bindings.get_type_id(bindings.vector_get_column_type(vector));
  if (found !== type)
    throw new Error(`column ${c}: expected ${bindings.Type[type]}, found ${bindings.Type[found]}`);
  return bindings.vector_get_data(vector, width * rows);
}

/** Column c as the bytes of its values, each `width` long. */
export const bytesIn = (part: RowChunk, c: number, type: keyof typeof Type, width: number): Uint8Array =>
  column(part, c, bindings.Type[type] as Type, width);

/** A bit for each row of column c, 0 where it is NULL; nothing where none is. */
export const validityIn = ({ chunk, rows }: RowChunk, c: number): Uint8Array | undefined =>
  bindings.vector_get_validity(bindings.data_chunk_get_vector(chunk.chunk, c), 8 * Math.ceil(rows / 64)) ??
  undefined;

export function integersIn(part: RowChunk, c: number): Int32Array {
  const { buffer, byteOffset } = column(part, c, bindings.Type.INTEGER, 4);
  return new Int32Array(buffer, byteOffset, part.rows);
}

export function doublesIn(part: RowChunk, c: number): Float64Array {
  const { buffer, byteOffset } = column(part, c, bindings.Type.DOUBLE, 8);
  return new Float64Array(buffer, byteOffset, part.rows);
}

interface ReadOptions {
  readonly users?: Int32Array;
  readonly expected?: number;
  /** For few rows, which DuckDB can hold. */
  readonly few?: boolean;
  /** Entries lie in shared memory, when there are `expected` ones. */
  readonly shared?: boolean;
  /** Takes the fourth column, a DOUBLE. */
  readonly times?: Growing<Float64Array>;
}

/** Where the rows of users begin, in a column of them whose first entry is number `at`. */
function takeUsers(user: Int32Array, at: number, found: Growing, starts: Growing): void {
  let last = found.length > 0 ? found.array[found.length - 1]! : -1;
  for (let r = 0; r < user.length; r++) {
    if (user[r] === last) continue;
    last = user[r]!;
    found.push(last);
    starts.push(at + r);
  }
}

function areOnes(x: Int32Array): boolean {
  for (let r = 0; r < x.length; r++) if (x[r] !== 1) return false;
  return true;
}

/**
 * Reads `SELECT "user", item, value … ORDER BY "user", item` as CSR rows. With `users` given, exactly those
 * rows are made, empty ones too; otherwise one row for each user that occurs. Values that are all 1 are
 * left out. `expected` entries save growing.
 */
export async function readRows(
  connection: DuckDBConnection,
  sql: string,
  n: number,
  { users, expected = 0, few = false, shared = false, times }: ReadOptions = {},
): Promise<Rows> {
  const items = integers(expected, shared);
  const found = integers(0);
  const starts = integers(0);
  let values: Growing | undefined;
  const parts = few ? heldRows(connection, sql) : streamRows(connection, sql, times ? 4 : 3);
  for await (const part of parts) {
    const [user, item, value] = [integersIn(part, 0), integersIn(part, 1), integersIn(part, 2)];
    takeUsers(user, items.length, found, starts);
    if (!values && !areOnes(value)) {
      values = integers(Math.max(expected, items.length), shared);
      values.array.fill(1, 0, items.length);
      values.length = items.length;
    }
    values?.append(value);
    items.append(item);
    times?.append(doublesIn(part, 3));
  }
  const nnz = items.length;
  const indices = items.finish();
  if (!users) {
    starts.push(nnz);
    return { n, users: found.finish(), indptr: starts.finish(), indices, values: values?.finish() };
  }
  const indptr = new Int32Array(users.length + 1).fill(nnz);
  for (let r = 0, f = 0; r < users.length; r++) {
    indptr[r] = f < found.length ? starts.array[f]! : nnz;
    if (f < found.length && found.array[f] === users[r]) f++;
  }
  return { n, users, indptr, indices, values: values?.finish() };
}

/**
 * As `readRows`, with the time of each entry from a fourth column, a DOUBLE. When there are `expected` entries, they lie
 * in shared memory.
 */
export async function readTimedRows(
  connection: DuckDBConnection,
  sql: string,
  n: number,
  expected: number,
): Promise<TimedRows> {
  const times = new Growing(expected, length => new Float64Array(new SharedArrayBuffer(8 * length)));
  const rows = await readRows(connection, sql, n, { expected, shared: true, times });
  return { ...rows, times: times.finish() };
}

/** Keys by ascending id. */
export interface Keys {
  readonly ids: readonly number[];
  readonly keys: readonly string[];
}

/** Keys in one text, and in all texts of one query: DuckDB holds a multiple of them as lists that it orders. */
const keysInText = 4096;
const keysInQuery = 8 * keysInText;

/**
 * The keys in a table of users or items with ids in [from, to). They come as JSON, some thousand in a text: the client
 * makes several objects of each value, and the collector is long in noticing what they hold.
 */
export async function readKeys(
  connection: DuckDBConnection,
  table: 'users' | 'items',
  from: number,
  to: number,
): Promise<Keys> {
  const [ids, keys]: [number[][], string[][]] = [[], []];
  for (let first = from; first < to; first += keysInQuery) {
    const texts = await all<{ ids: string; keys: string }>(
      connection,
      `SELECT to_json(list(id ORDER BY id))::VARCHAR AS ids, to_json(list(key ORDER BY id))::VARCHAR AS keys
       FROM ${table} WHERE id >= ${first} AND id < ${Math.min(to, first + keysInQuery)}
       GROUP BY id // ${keysInText} ORDER BY id // ${keysInText}`,
    );
    for (const t of texts) {
      ids.push(JSON.parse(t.ids) as number[]);
      keys.push(JSON.parse(t.keys) as string[]);
    }
  }
  return { ids: ids.flat(), keys: keys.flat() };
}
