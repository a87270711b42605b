import type { Histories, Rows } from '../matrix/rows.js';
import type { Catalogue } from './metrics.js';

/** An interaction that a model did not see, by keys. */
export interface HeldOut {
  readonly user: string;
  readonly item: string;
}

/**
 * Finds the histories of the users of `heldOut`, with their values, and numbers both alike: users of the state first,
 * then those it does not know, who get no train row. `ids` numbers the n items of a model; other items get ids ≥ n.
 */
export async function matchHeldOut(
  heldOut: Iterable<HeldOut>,
  histories: AsyncIterable<Histories>,
  ids: ReadonlyMap<string, number>,
): Promise<{ readonly train: Rows; readonly test: Rows; readonly catalogue: Catalogue }> {
  const n = ids.size;
  const unknown = new Map<string, number>();
  const wanted = new Map<string, Set<number>>();
  for (const { user, item } of heldOut) {
    let id = ids.get(item) ?? unknown.get(item);
    if (id === undefined) unknown.set(item, (id = n + unknown.size));
    const items = wanted.get(user) ?? new Set<number>();
    wanted.set(user, items.add(id));
  }
  const usersOf = new Int32Array(n);
  let users = 0;
  const train: Row[] = [];
  const test: Row[] = [];
  const take = (key: string, row: Row): void => {
    const items = wanted.get(key);
    if (!items) return;
    wanted.delete(key);
    train.push(row);
    test.push({ indices: Int32Array.from(items).sort(), values: undefined });
  };
  for await (const { keys, rows } of histories) {
    users += keys.length;
    for (const i of rows.indices) if (i < n) usersOf[i]!++;
    keys.forEach((key, r) => {
      const [from, to] = [rows.indptr[r]!, rows.indptr[r + 1]!];
      take(key, { indices: rows.indices.slice(from, to), values: rows.values?.slice(from, to) });
    });
  }
  for (const key of [...wanted.keys()]) take(key, { indices: new Int32Array(0), values: undefined });
  return {
    train: joined(n, train),
    test: joined(n + unknown.size, test),
    catalogue: { usersOf, users },
  };
}

type Row = Pick<Rows, 'indices' | 'values'>;

/** Rows one behind the other, numbered from 0; values of 1 where only some have values. */
function joined(n: number, rows: readonly Row[]): Rows {
  const indptr = new Int32Array(rows.length + 1);
  rows.forEach(({ indices }, r) => {
    indptr[r + 1] = indptr[r]! + indices.length;
  });
  const indices = new Int32Array(indptr[rows.length]!);
  const values = rows.some(row => row.values) ? new Int32Array(indices.length).fill(1) : undefined;
  rows.forEach((row, r) => {
    indices.set(row.indices, indptr[r]!);
    if (row.values) values!.set(row.values, indptr[r]!);
  });
  return { n, users: Int32Array.from(rows, (_, r) => r), indptr, indices, values };
}
