/** The keys of a dictionary come in texts of some thousand, so that DuckDB never holds many of them as lists. */
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { readKeys } from '#connectors/duckdb/rows.js';

it('reads 200,000 keys in 64 MiB, by ascending id, from any id to any', async () => {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '64MiB', threads: '2' });
  const connection = await instance.connect();
  await connection.run(`CREATE TABLE items AS
    SELECT id, 'item-' || id || '-of-the-catalogue' AS key FROM (SELECT 199999 - range AS id FROM range(200000))`);
  const { ids, keys } = await readKeys(connection, 'items', 0, 200_000);
  expect(ids).toEqual(Array.from({ length: 200_000 }, (_, i) => i));
  expect(keys).toEqual(ids.map(i => `item-${i}-of-the-catalogue`));
  const some = await readKeys(connection, 'items', 32_700, 65_600);
  expect([some.ids[0], some.ids.length, some.ids.at(-1)]).toEqual([32_700, 32_900, 65_599]);
  connection.closeSync();
  instance.closeSync();
});
