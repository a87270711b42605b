import type { Pipeline } from '../../jobs/index.js';

/** X of a state: `user item` → value > 0, in units of 1/weightScale. */
export async function matrixOf({ parts: { store } }: Pipeline): Promise<Map<string, number>> {
  const keys = await store.itemKeys();
  const values: [string, number][] = [];
  for await (const { keys: users, rows } of store.histories(100)) {
    users.forEach((user, r) => {
      for (let e = rows.indptr[r]!; e < rows.indptr[r + 1]!; e++)
        values.push([`${user} ${keys[rows.indices[e]!]}`, rows.values?.[e] ?? 1]);
    });
  }
  return new Map(values.sort());
}
