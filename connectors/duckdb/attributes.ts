import { resolve } from 'node:path';
import { StageError } from '../../src/errors.js';
import type { RuleOptions } from '../../src/publish/rule-options.js';
import type { ItemAttributes } from '../../src/publish/rules.js';
import { openDatabase, reason, releaseResults } from './database.js';
import { subquery } from './project.js';
import { attachWarehouse } from './warehouse.js';

/** Runs the query for attributes of items: a column `item`, as text, and others. `SOURCE_UNREADABLE` if it fails. */
export async function readAttributes(
  { database, query }: NonNullable<RuleOptions['attributes']>,
  baseDirectory = '.',
): Promise<ItemAttributes> {
  const failed = (what: string, cause?: unknown) =>
    new StageError('SOURCE_UNREADABLE', `publish.rules.attributes: ${what}`, { cause });
  const instance = database === undefined ? await openDatabase(':memory:') : undefined;
  const warehouse =
    database === undefined ? undefined : await attachWarehouse(resolve(baseDirectory, database), 'read');
  const connection = warehouse?.connection ?? (await instance!.connect());
  try {
    if (!warehouse)
      await connection.run(`SET file_search_path = '${resolve(baseDirectory).replaceAll("'", "''")}'`);
    const reader = await connection.runAndReadAll(
      `SELECT item::VARCHAR AS item, * EXCLUDE (item) FROM ${subquery(query)} WHERE item IS NOT NULL`,
    );
    const [items = [], ...values] = reader.getColumnsJS();
    const names = reader.columnNames().slice(1);
    return {
      items: items as string[],
      columns: Object.fromEntries(names.map((name, c) => [name, values[c]!])),
    };
  } catch (error) {
    throw failed(reason(error), error);
  } finally {
    if (warehouse) await warehouse.release();
    else {
      connection.closeSync();
      instance!.closeSync();
      await releaseResults();
    }
  }
}
