import type { DuckDBConnection, DuckDBIntegerVector } from '@duckdb/node-api';
import type { Rows } from '../../src/gramian/rows.js';
import { streamRows } from './database.js';

/**
 * Reads `SELECT "user", item, value … ORDER BY "user", item` as CSR rows. With `users` given, exactly those
 * rows are made, empty ones too; otherwise one row for each user that occurs. Values that are all 1 are
 * left out.
 */
export async function readRows(
  connection: DuckDBConnection,
  sql: string,
  n: number,
  users?: Int32Array,
): Promise<Rows> {
  const chunks: { users: Int32Array; items: Int32Array; values: Int32Array }[] = [];
  let nnz = 0;
  let ones = true;
  for await (const { chunk, rows } of streamRows(connection, sql, 3)) {
    const columns = [0, 1, 2].map(c => {
      const vector = chunk.getColumnVector(c) as DuckDBIntegerVector;
      return Int32Array.from({ length: rows }, (_, r) => vector.getItem(r) as number);
    });
    ones &&= columns[2]!.every(v => v === 1);
    chunks.push({ users: columns[0]!, items: columns[1]!, values: columns[2]! });
    nnz += rows;
  }
  const indices = new Int32Array(nnz);
  const values = ones ? undefined : new Int32Array(nnz);
  const found: number[] = [];
  const starts: number[] = [];
  let at = 0;
  for (const chunk of chunks) {
    indices.set(chunk.items, at);
    values?.set(chunk.values, at);
    for (let r = 0; r < chunk.users.length; r++) {
      if (chunk.users[r] !== found[found.length - 1]) {
        found.push(chunk.users[r]!);
        starts.push(at + r);
      }
    }
    at += chunk.items.length;
  }
  if (!users)
    return { n, users: Int32Array.from(found), indptr: Int32Array.from([...starts, nnz]), indices, values };
  const indptr = new Int32Array(users.length + 1).fill(nnz);
  for (let r = 0, f = 0; r < users.length; r++) {
    indptr[r] = f < found.length ? starts[f]! : nnz;
    if (found[f] === users[r]) f++;
  }
  return { n, users, indptr, indices, values };
}
